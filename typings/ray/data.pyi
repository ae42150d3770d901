"""Ray Data."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

class DataContext:
    enable_progress_bars: bool
    print_on_execution_start: bool
    @staticmethod
    def get_current() -> DataContext: ...

class ActorPoolStrategy:
    def __init__(self, *, min_size: int, max_size: int) -> None: ...

class Dataset:
    def map_batches(self, fn: Callable[..., Any], **options: Any) -> Dataset: ...
    def iter_rows(self) -> Iterator[dict[str, Any]]: ...

def from_items(items: Sequence[Any], *, override_num_blocks: int | None = None) -> Dataset: ...
