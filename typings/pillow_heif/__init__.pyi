from typing import BinaryIO

from PIL.ImageFile import ImageFile

class HeifImageFile(ImageFile):
    def __init__(self, fp: BinaryIO) -> None: ...
    def _open(self) -> None: ...
