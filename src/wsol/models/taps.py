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


def find_output(model: nn.Module, name: str) -> nn.Module:
    """Return the module whose output is that of the submodule called ``name``.

    It is the submodule itself, or the last module of an ``nn.Sequential``: gradient checkpointing
    calls the modules of a sequence one by one, and not the sequence.

    Raises:
        ConfigError: no such submodule; names the nearest one.

    >>> find_output(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())), "0")
    ReLU()
    """
    module = find_tap(model, name)
    while isinstance(module, nn.Sequential) and len(module) > 0:
        # A subclass may do more than call one module after another.
        if type(module).forward is not nn.Sequential.forward:
            break
        module = module[-1]
    return module
