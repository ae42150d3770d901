"""OpenImages30k (Choe et al., CVPR 2020): pictures by split and class, and masks beside them."""

from pathlib import Path
from typing import Final

from wsol._utils.progress import Meters
from wsol.data.archives import Member, parts_of
from wsol.data.preparation.config import OpenimagesConfig
from wsol.data.preparation.extract import State, bytes_below, check_room, unpack
from wsol.data.split_names import SPLITS

IMAGES: Final = "images"
MASKS: Final = "masks"
_FOLDERS: Final = {".jpg": IMAGES, ".jpeg": IMAGES, ".png": MASKS}


def prepare_openimages(config: OpenimagesConfig, state: State, meters: Meters) -> None:
    """Write the pictures as folders by class, and the masks below a folder of their own.

    Args:
        config: The options.
        state: What is finished.
        meters: Show the progress.

    Raises:
        DataError: If an archive is refused, or there is no room.
    """
    todo = [path for path in config.archives if not state.is_finished(path)]
    there = bytes_below(config.out / IMAGES) + bytes_below(config.out / MASKS)
    check_room(config.out, sum(path.stat().st_size for path in todo) - there if todo else 0)
    for path in todo:
        unpack(path, config.out, route_openimages, state, meters)


def route_openimages(member: Member) -> str | None:
    """Return where `{train,val,test}/<class>/<file>` of an archive belongs, whatever is above."""
    split, *rest = parts_of(member.name)[-3:]
    folder = _FOLDERS.get(Path(member.name).suffix.lower())
    if folder is None or split not in SPLITS or len(rest) != 2 or rest[1].startswith("."):
        return None
    return "/".join((folder, split, *rest))
