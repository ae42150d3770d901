"""Input sizes, modes, precision and named layers of classifiers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import chain
from operator import is_
from threading import RLock
from typing import Any, NamedTuple

import torch
from timm.models import get_model_input_config
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from wsol.errors import ConfigError, did_you_mean

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class InputSpec(NamedTuple):
    """Input of a classifier.

    Attributes:
        size: channels, height and width in pixels; not always square.
        mean: mean of the input normalization per channel, for images in [0, 1].
        std: standard deviation of the input normalization per channel.
    """

    size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def input_spec(model: nn.Module) -> InputSpec:
    """Return the input that a model declares; default: 224 pixels and ImageNet's normalization."""
    whole: Any = model
    body: Any = getattr(model, "body", model)
    spec = InputSpec()
    if own := getattr(body, "pretrained_cfg", None):
        size = get_model_input_config(body)["input_size"]
        spec = InputSpec(tuple(size), tuple(own["mean"]), tuple(own["std"]))
    else:
        config = getattr(model, "config", None)
        # torchvision's transformers have an attribute for it.
        for said in (config, getattr(config, "vision_config", None), model):
            if sides := _sides(getattr(said, "image_size", None)):
                spec = spec._replace(size=(getattr(said, "num_channels", 3), *sides))
                break
    if isinstance(getattr(model, "mean", None), tuple):
        spec = spec._replace(mean=whole.mean, std=whole.std)
    return spec


def _sides(size: Any) -> tuple[int, int] | None:
    """Return height and width from a Hugging Face configuration: one number or two."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping):
        size = [size.get("height"), size.get("width")]
    if isinstance(size, Sequence) and len(size) == 2 and all(isinstance(n, int) for n in size):
        return size[0], size[1]
    return None


def class_names(model: nn.Module, count: int) -> tuple[str, ...]:
    """Return the class names of a Hugging Face classifier, otherwise ``count`` class numbers."""
    known = getattr(getattr(model, "config", None), "id2label", None) or {}
    # JSON keys are strings.
    return tuple(str(known.get(index, known.get(str(index), index))) for index in range(count))


_changing = RLock()
"""Held while a model's mode is changed temporarily, so that other threads do not read it."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set a model and all its modules to evaluation mode, and restore each module's mode.

    Only the ``training`` flags are set: ``train()`` and ``eval()`` are not called, because some
    networks override them to change weights (LoRA layers that merge) or caches. Attributes that
    the modules set in evaluation mode are restored too.

    Threads wait for each other if any module is in training mode.

    Raises:
        ConfigError: a module has uninitialized weights, whose shapes depend on the first batch.
    """
    _check_weights(model)
    with _changing:
        training = [module for module in model.modules() if module.training]
        if training:
            before = [each for module in model.modules() for each in _attributes(module)]
            try:
                for module in training:
                    module.training = False
                yield
            finally:
                for container, content in before:
                    _restore(container, content)
                for module in training:
                    module.training = True
            return
    yield


def _check_weights(model: nn.Module) -> None:
    for name, module in model.named_modules():
        weights = chain(module.parameters(recurse=False), module.buffers(recurse=False))
        if any(is_lazy(weight) for weight in weights):
            raise ConfigError(
                f"{type(module).__name__} {name!r} has no weights yet; run a batch through the "
                "network first"
            )
    if (weight := first_weight(model)) is not None and weight.is_meta:
        raise ConfigError(f"{type(model).__name__} is on the device meta; load its weights first")


def _attributes(module: nn.Module) -> Iterator[tuple[Any, Any]]:
    """Yield the attributes of a module, and those that are containers, each with its content."""
    own = vars(module)
    yield own, own.copy()
    for value in own.values():
        if isinstance(value, dict | list | set):
            # Few objects are created, as this runs for each module in each forward pass.
            yield value, value.copy() if value else ()


def _restore(container: Any, content: Any) -> None:
    # Compares objects: tensors have no single equality.
    same = len(container) == len(content) and all(map(is_, container, content))
    if same and isinstance(container, dict) and content:
        same = all(map(is_, container.values(), content.values()))
    if not same:
        container.clear()
        (container.extend if isinstance(container, list) else container.update)(content)


def first_weight(model: nn.Module) -> Tensor | None:
    """Return the first floating-point weight, which determines device and dtype of the input."""
    weights = chain(model.parameters(), model.buffers())
    return next((weight for weight in weights if weight.is_floating_point()), None)


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a network; the CPU for networks without weights."""
    weight = first_weight(model)
    return torch.device("cpu") if weight is None else weight.device


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside torch's wrappers for compilation and parallelism.

    Its layers have their original names, and hooks are not compiled away.
    """
    while True:
        if "_orig_mod" in model._modules:
            model = model.get_submodule("_orig_mod")
        elif isinstance(model, DataParallel | DistributedDataParallel):
            model = model.module
        else:
            return model


def forward(model: nn.Module, images: Tensor) -> Any:
    """Return the output of a network for images, computed in the dtype of its weights.

    Only a network that ``follows_autocast`` uses the precision of an autocast. Images are converted
    to the memory format of the weights, because contiguous networks may call ``view``. Compiled
    networks run uncompiled, so that hooks work.
    """
    weight = first_weight(model)
    with ExitStack() as stack:
        if weight is not None and weight.dtype != images.dtype:
            images = images.to(weight.dtype)
        if not follows_autocast(model):
            stack.enter_context(full_precision(images.device))
        if not images.is_contiguous() and not _is_channels_last(model):
            images = images.contiguous()
        if is_compiled(model):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        return model(images)


def follows_autocast(model: nn.Module) -> bool:
    """Return whether a network can compute in the precision of an autocast.

    Networks with weights other than float32, or with quantised layers, would mix dtypes.
    """
    weight = first_weight(model)
    return (weight is None or weight.dtype == torch.float32) and not any(
        map(is_quantized, model.modules())
    )


def is_quantized(module: nn.Module) -> bool:
    """Return whether a module is a quantised layer of torch."""
    return type(module).__module__.startswith("torch.ao.nn.")


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which no operation uses a lower precision than its input's."""
    # Exported models have no such contexts, and use float32 throughout.
    if torch.compiler.is_exporting():
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def _is_channels_last(model: nn.Module) -> bool:
    """Return whether the first unambiguous weight is channels last."""
    for weight in model.parameters():
        if weight.ndim == 4 and not weight.is_contiguous():
            return weight.is_contiguous(memory_format=torch.channels_last)
        if weight.ndim == 4 and not weight.is_contiguous(memory_format=torch.channels_last):
            return False
    return False


def is_compiled(model: nn.Module) -> bool:
    """Return whether a network or a part of it is compiled by torch."""
    return any(
        "_orig_mod" in module._modules or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights whose entries equal those of a network.

    Raises:
        ConfigError: the entries differ; the message has the first mismatch.
    """
    expected = model.state_dict()
    for name in (*expected, *weights):
        if name not in weights:
            raise ConfigError(f"{name} is missing")
        if name not in expected:
            raise ConfigError(f"{name} is not part of the network")
        found, needed = tuple(weights[name].shape), tuple(expected[name].shape)
        if found != needed:
            raise ConfigError(f"{name} has shape {found} instead of {needed}")
    model.load_state_dict(weights)


def named_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules of a network by name; compiled modules have their original names."""
    return {plain: module for name, module in model.named_modules() if (plain := _plain(name))}


def _plain(name: str) -> str:
    """Return the name of a module without the parts that ``torch.compile`` adds."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def stages_of(body: nn.Module) -> tuple[str, ...]:
    """Return the modules that end the stages a timm network declares; empty for other networks."""
    info = getattr(body, "feature_info", None) or ()
    return tuple(stage["module"] for stage in info)


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the submodule called ``name``, as in ``model.named_modules()``.

    Raises:
        ConfigError: the submodule does not exist; the message suggests the nearest name.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    >>> find_layer(model, "1")
    ReLU()
    """
    layers = named_layers(model)
    if (plain := _plain(name)) not in layers:
        hint = did_you_mean(name, layers)
        raise ConfigError(f"no layer {name!r} in {type(model).__name__}: {hint}")
    return layers[plain]


def find_output(model: nn.Module, name: str) -> nn.Module:
    """Return the module that computes the output of the submodule called ``name``.

    It is the submodule itself, or the last module of an ``nn.Sequential``: gradient checkpointing
    calls the modules of a sequence one by one, and not the sequence. A module that occurs more than
    once is not used, as its output is not always that of the sequence; and a sequence with forward
    hooks is returned itself, as hooks may change its output.
    """
    module = find_layer(model, name)
    places = Counter(each for _, each in model.named_modules(remove_duplicate=False))
    while isinstance(module, nn.Sequential) and len(module) > 0:
        # Subclasses may override forward, and hooks may change the output.
        does_more = type(module).forward is not nn.Sequential.forward or module._forward_hooks
        if does_more or places[module[-1]] > 1:
            break
        module = module[-1]
    return module


@contextmanager
def recorded_outputs(modules: Iterable[nn.Module]) -> Iterator[dict[nn.Module, list[Any]]]:
    """Record the outputs of modules, one per call, until the end of the block."""
    outputs: dict[nn.Module, list[Any]] = {module: [] for module in modules}

    def keep(module: nn.Module, inputs: object, output: object) -> None:
        outputs[module].append(output)

    with ExitStack() as hooks:
        for module in outputs:
            hooks.callback(module.register_forward_hook(keep).remove)
        yield outputs
