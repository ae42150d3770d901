"""CUB-200-2011 (Wah et al., 2011) in its own layout, and CUBV2 beside it."""

from pathlib import Path
from typing import Final

from wsol._utils.progress import Meters
from wsol.data.archives import Member, parts_of
from wsol.data.file_index import IMAGE_SUFFIXES
from wsol.data.preparation.checksum import MD5, check_md5
from wsol.data.preparation.config import CubConfig
from wsol.data.preparation.download import download
from wsol.data.preparation.extract import State, bytes_below, check_room, unpack

ROOT: Final = "CUB_200_2011"
"""The folder in the archive; beside it lies the list of attributes."""


def prepare_cub(config: CubConfig, state: State, meters: Meters) -> None:
    """Write CUB-200-2011 as `open_data` reads it.

    Args:
        config: The options.
        state: What is finished.
        meters: Show the progress.

    Raises:
        DataError: If an archive cannot be had or is refused, or there is no room.
    """
    archive = config.archive
    if archive is None:
        archive = config.out / f"{ROOT}.tgz"
        download(config.url, archive, meters)
    if not state.is_finished(archive):
        if config.checksum == "md5" and not state.is_finished(archive, "md5"):
            check_md5(archive, MD5["cub"], meters)
            state.finish(archive, "md5")
        check_room(config.out, archive.stat().st_size - bytes_below(config.out / "images"))
        unpack(archive, config.out, route_cub, state, meters)
    if config.cubv2 is not None and not state.is_finished(config.cubv2):
        check_room(config.out, config.cubv2.stat().st_size)
        unpack(config.cubv2, config.out, route_cubv2, state, meters)


def route_cub(member: Member) -> str | None:
    """Return where a member belongs: pictures and the lists beside them, nothing else."""
    root, *parts = parts_of(member.name)
    is_list = len(parts) == 1 and Path(member.name).suffix == ".txt"
    is_picture = len(parts) == 3 and parts[0] == "images" and _is_picture(member)
    return "/".join(parts) if root == ROOT and (is_list or is_picture) else None


def route_cubv2(member: Member) -> str | None:
    """Return where a picture of CUBV2 belongs: in its class's folder, as wsolevaluation has it."""
    parts = parts_of(member.name)
    if len(parts) < 2 or not _is_picture(member):
        return None
    return f"images/{parts[-2]}/{parts[-1]}"


def _is_picture(member: Member) -> bool:
    path = Path(member.name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
