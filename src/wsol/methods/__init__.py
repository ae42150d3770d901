"""Training methods, one package each.

The method ``x`` is the package ``wsol/methods/x`` with a dataclass ``Config`` in its
``__init__.py``, or an installed package's entry point ``x`` in the group ``wsol.methods`` that
refers to such a module.
"""

from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from wsol.errors import ConfigError, did_you_mean
from wsol.methods.base import MethodConfig

__all__ = ["MethodConfig", "list_methods", "method_config"]


def _modules() -> dict[str, str]:
    own = {m.name: f"{__name__}.{m.name}" for m in iter_modules(__path__) if m.ispkg}
    return own | {point.name: point.value for point in entry_points(group="wsol.methods")}


def list_methods() -> list[str]:
    """Return the names of all training methods.

    >>> {"adl", "none"} <= set(list_methods())
    True
    """
    return sorted(_modules())


def method_config(name: str) -> type[MethodConfig]:
    """Return the options dataclass of a training method.

    Raises:
        ConfigError: the method does not exist; the message suggests the nearest name.

    >>> method_config("adl")().name
    'adl'
    """
    modules = _modules()
    if name not in modules:
        raise ConfigError(f"no method {name!r}: {did_you_mean(name, modules)}")
    config: type[MethodConfig] = import_module(modules[name]).Config
    return config
