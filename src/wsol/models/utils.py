"""What a classifier says of its input: size, mean and standard deviation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from timm.models import get_model_input_config
from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class InputSpec(NamedTuple):
    """What pictures a classifier takes.

    Attributes:
        size: channels, height and width in pixels; not always square.
        mean: of the normalised input, per colour, on the scale of [0, 1].
        std: the same for the standard deviation.
    """

    size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def input_spec(model: nn.Module) -> InputSpec:
    """Return what a model says of its input, and ImageNet's custom where it says nothing.

    Args:
        model: one of ours, of timm or of Hugging Face, or any other.

    >>> import timm
    >>> input_spec(timm.create_model("test_vit")).size
    (3, 160, 160)
    >>> input_spec(nn.Identity()).mean
    (0.485, 0.456, 0.406)
    """
    whole: Any = model
    body: Any = getattr(model, "body", model)
    spec = InputSpec()
    if getattr(body, "pretrained_cfg", None):
        own = body.pretrained_cfg
        size = get_model_input_config(body)["input_size"]
        spec = InputSpec(tuple(size), tuple(own["mean"]), tuple(own["std"]))
    else:
        config = getattr(model, "config", None)
        # torchvision's transformers say it themselves.
        for said in (config, getattr(config, "vision_config", None), model):
            if sides := _sides(getattr(said, "image_size", None)):
                spec = spec._replace(size=(getattr(said, "num_channels", 3), *sides))
                break
    if isinstance(getattr(model, "mean", None), tuple):
        spec = spec._replace(mean=whole.mean, std=whole.std)
    return spec


def _sides(size: Any) -> tuple[int, int] | None:
    """Return height and width as a Hugging Face configuration has them: one number or two."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping):
        size = [size.get("height"), size.get("width")]
    if isinstance(size, Sequence) and len(size) == 2 and all(isinstance(n, int) for n in size):
        return size[0], size[1]
    return None


def class_names(model: nn.Module, count: int) -> tuple[str, ...]:
    """Return the names of a classifier's classes where it knows them, otherwise their numbers.

    Args:
        model: Hugging Face's classifiers know their names.
        count: number of classes.

    >>> class_names(nn.Identity(), 2)
    ('0', '1')
    """
    known = getattr(getattr(model, "config", None), "id2label", None) or {}
    # JSON has texts as keys.
    return tuple(str(known.get(index, known.get(str(index), index))) for index in range(count))
