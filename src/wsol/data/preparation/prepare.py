"""Prepare a data set from its archives, and say what is in it."""

from wsol._utils.progress import Meter
from wsol.data.preparation.config import CubConfig, ImagenetConfig, PrepareConfig
from wsol.data.preparation.cub import prepare_cub
from wsol.data.preparation.extract import State
from wsol.data.preparation.imagenet import prepare_imagenet
from wsol.data.preparation.openimages import IMAGES, MASKS, prepare_openimages
from wsol.data.preparation.verify import Report, survey, verify


def prepare(config: PrepareConfig) -> Report:
    """Prepare a data set, going on where an interrupted call was, or only verify one.

    Args:
        config: options of the data set, which say which one it is.

    Raises:
        DataError: an archive cannot be had or is refused, or there is no room.
    """
    if not config.verify:
        with State(config.out) as state:
            if isinstance(config, CubConfig):
                prepare_cub(config, state, _megabytes)
            elif isinstance(config, ImagenetConfig):
                prepare_imagenet(config, state, _megabytes)
            else:
                prepare_openimages(config, state, _megabytes)
    has_masks = not isinstance(config, CubConfig | ImagenetConfig)
    root = config.out / IMAGES if has_masks else config.out
    masks = config.out / MASKS if has_masks else None
    return verify(root, config.out, Meter, masks) if config.verify else survey(root, masks)


def _megabytes(title: str, total: int) -> Meter:
    return Meter(title, total, unit="MB", per_unit=2**20)
