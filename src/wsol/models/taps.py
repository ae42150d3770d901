"""Named places inside a network."""

from collections import Counter

from torch import nn

from wsol.errors import ConfigError, did_you_mean


def named_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules of a network by name; what is compiled has the names that it had before.

    >>> list(named_layers(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())))
    ['0', '1']
    """
    return {plain: module for name, module in model.named_modules() if (plain := _plain(name))}


def _plain(name: str) -> str:
    """Return the name of a module without the parts that ``torch.compile`` adds."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def find_tap(model: nn.Module, name: str) -> nn.Module:
    """Return the submodule called ``name``, as in ``model.named_modules()``.

    Raises:
        ConfigError: no such submodule; names the nearest one.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    >>> find_tap(model, "1")
    ReLU()
    """
    layers = named_layers(model)
    if (plain := _plain(name)) not in layers:
        hint = did_you_mean(name, layers)
        raise ConfigError(f"no tap {name!r} in {type(model).__name__}: {hint}")
    return layers[plain]


def find_output(model: nn.Module, name: str) -> nn.Module:
    """Return the module whose output is that of the submodule called ``name``.

    It is the submodule itself, or the last module of an ``nn.Sequential``: gradient checkpointing
    calls the modules of a sequence one by one, and not the sequence. A module that is in several
    places is not taken, as its output is that of the sequence only sometimes; and a sequence that
    has forward hooks is taken itself, as they may change its output.

    Raises:
        ConfigError: no such submodule; names the nearest one.

    >>> find_output(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())), "0")
    ReLU()
    """
    module = find_tap(model, name)
    places = Counter(each for _, each in model.named_modules(remove_duplicate=False))
    while isinstance(module, nn.Sequential) and len(module) > 0:
        # A subclass may do more than call one module after another, and a hook change the output.
        does_more = type(module).forward is not nn.Sequential.forward or module._forward_hooks
        if does_more or places[module[-1]] > 1:
            break
        module = module[-1]
    return module
