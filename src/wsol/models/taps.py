"""Named places inside a network."""

from torch import nn

from wsol.errors import ConfigError, did_you_mean


def find_tap(model: nn.Module, name: str) -> nn.Module:
    """Return the submodule called ``name``, as in ``model.named_modules()``.

    Raises:
        ConfigError: no such submodule; names the nearest one.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    >>> find_tap(model, "1")
    ReLU()
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name not in modules or name == "":
        hint = did_you_mean(name, [known for known in modules if known])
        raise ConfigError(f"no tap {name!r} in {type(model).__name__}: {hint}")
    return modules[name]
