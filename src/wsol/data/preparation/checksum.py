"""Checksums of the archives as their publishers give them."""

import hashlib
from pathlib import Path
from typing import Final

from wsol._utils.progress import Meters
from wsol.errors import DataError

MD5: Final = {
    "cub": "97eceeb196236b17998738112f37df78",
    "train": "1d675b47d978889d74fa0da5fadfb00e",
    "val": "29b22e2961454d5413ddabcf34fc5622",
    "boxes": "f4cd18b5ea29fe6bbea62ec9c20d80f0",
}
"""By what an archive is for: CUB_200_2011.tgz (CaltechDATA 65de6-vp158), ILSVRC2012_img_train.tar,
ILSVRC2012_img_val.tar and ILSVRC2012_bbox_val_v3.tgz (image-net.org). None is published for
ImageNetV2, CUBV2 and OpenImages30k."""

_PIECE = 2**22


def check_md5(path: Path, expected: str, meters: Meters) -> None:
    """Read a whole file and compare its checksum.

    Args:
        path: The file.
        expected: MD5 in hexadecimal digits.
        meters: Show the progress.

    Raises:
        DataError: If it differs, or the file cannot be read.
    """
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with meters(f"check {path.name}", path.stat().st_size) as meter, path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                meter.advance(len(piece))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; give the archive's path") from error
    if digest.hexdigest() != expected:
        raise DataError(
            f"{path}: its MD5 is {digest.hexdigest()}, that of the official archive {expected}: "
            "get it again, or take it as it is with --checksum none"
        )
