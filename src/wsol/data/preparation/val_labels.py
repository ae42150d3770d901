"""Which class each validation picture of ILSVRC is of, where no boxes say so."""

from collections.abc import Sequence
from pathlib import Path

from wsol.errors import AnnotationError, DataError


def read_val_labels(path: Path, wnids: Sequence[str]) -> dict[str, str]:
    r"""Read the class of each validation picture.

    Args:
        path: Text with a picture and its class a line; what follows them is left alone. The class
            is a wnid or a number from 0 in the order of the sorted wnids, as in the authors'
            `val.txt` and Caffe's. The devkit's `ILSVRC2012_validation_ground_truth.txt` is refused:
            its numbers from 1 are in another order, which only its MATLAB file tells.
        wnids: All classes, sorted.

    Returns:
        Name of each picture without folders and suffix to its wnid.

    Raises:
        AnnotationError: If a line cannot be used.
        DataError: If the file cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "val.txt")
    ...     _ = file.write_text("ILSVRC2012_val_00000001.JPEG 1 3 4 50 60\n")
    ...     read_val_labels(file, ["n01", "n02"])
    {'ILSVRC2012_val_00000001': 'n02'}
    """
    labels: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) == 1:
            raise AnnotationError(
                path,
                number,
                "expected a picture and its class; of the devkit's numbers only its MATLAB file "
                "tells the classes: give ILSVRC2012_bbox_val_v3.tgz as boxes instead",
            )
        name, label = Path(fields[0]).stem, fields[1]
        if label.isdecimal():
            if int(label) >= len(wnids):
                reason = f"no class {label}: the {len(wnids)} known ones are numbered from 0"
                raise AnnotationError(path, number, reason)
            label = wnids[int(label)]
        if labels.setdefault(name, label) != label:
            raise AnnotationError(path, number, f"{name!r} is of two classes")
    return labels
