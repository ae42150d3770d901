"""The list of a run's val images, kept in its folder."""

import logging
from pathlib import Path
from typing import Final

from wsol._utils.files import write_atomically
from wsol.data.samples import Samples
from wsol.portable import portable
from wsol.runs.hub import local_run

VAL_LIST: Final = "val_images.txt"
"""In the run folder: the id of each val image, one a line, in their order."""

log = logging.getLogger("wsol")


def write_val_list(folder: Path, val: Samples | None) -> None:
    """Write which images are val, and say so in the log; nothing where there is no val split.

    Args:
        folder: the run folder; it exists.
        val: the val split.

    Raises:
        OSError: the file cannot be written.

    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     val = Samples(Path("birds"), ("a.jpg", "b.jpg"), np.array([0, 0]), ("crow",))
    ...     write_val_list(Path(folder), val)
    ...     Path(folder, VAL_LIST).read_text().split()
    ['a.jpg', 'b.jpg']
    """
    if val is None:
        return
    text = "".join(f"{portable(name)}\n" for name in val.ids)
    write_atomically(folder / VAL_LIST, lambda part: part.write_text(text, encoding="utf-8"))
    log.info("val has %d images, listed in %s", len(val), folder / VAL_LIST)


def check_val_list(run: Path, val: Samples) -> None:
    """Warn where val has other images than at the training, which may have used these.

    Args:
        run: the run folder, or its name on the Hub; one without a list is not checked.
        val: the val split of the run's data set as it is now.
    """
    file = local_run(run) / VAL_LIST
    if not file.is_file():
        return
    listed = set(file.read_text(encoding="utf-8").splitlines())
    new = [name for name in map(portable, val.ids) if name not in listed]
    if new or len(val) < len(listed):
        log.warning(
            "%s: the data set has changed since the training: %d of %d val images are not in %s",
            run,
            len(new),
            len(val),
            file,
        )
