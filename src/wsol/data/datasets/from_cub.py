"""The test split of CUB-200-2011 (Wah et al., 2011), in that data set's own layout."""

from pathlib import Path

from wsol.data.annotations.annotations import BoxAnnotations
from wsol.data.datasets.cub import read_cub
from wsol.errors import DataError


def read_cub_annotations(root: Path) -> BoxAnnotations:
    """Read the test images of CUB-200-2011 or of a part of it, one box each.

    Some of its boxes end a pixel outside the picture. They are taken as they are, as when a run
    is evaluated.

    Args:
        root: Folder of the data set, see `read_cub`; sizes are those of its pictures.

    Raises:
        AnnotationError: If a line cannot be used or is missing.
        DataError: If a file is missing or no test image exists.
    """
    test = read_cub(root).get("test")
    if test is None or test.boxes is None:
        raise DataError(f"{root}: has no test images")
    return BoxAnnotations(
        root,
        test.ids,
        tuple(test.classes[label] for label in test.labels),
        test.boxes,
        tuple(test.path(index) for index in range(len(test))),
    )
