"""File systems that pyarrow opens."""

from enum import Enum
from types import TracebackType
from typing import overload

class FileType(Enum):
    NotFound = 0
    Unknown = 1
    File = 2
    Directory = 3

class FileInfo:
    path: str
    type: FileType

class FileSelector:
    def __init__(self, base_dir: str) -> None: ...

class NativeFile:
    def __enter__(self) -> NativeFile: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def size(self) -> int: ...
    def read(self) -> bytes: ...

class FileSystem:
    @staticmethod
    def from_uri(uri: str) -> tuple[FileSystem, str]: ...
    @overload
    def get_file_info(self, paths_or_selector: str) -> FileInfo: ...
    @overload
    def get_file_info(self, paths_or_selector: FileSelector) -> list[FileInfo]: ...
    def open_input_file(self, path: str) -> NativeFile: ...
