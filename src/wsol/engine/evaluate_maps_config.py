"""The options of the evaluation of score maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.data.box_row import OnBad
from wsol.options import (
    FractionBelowOne,
    ImageSize,
    MaxPixels,
    NonNegativeInt,
    NumWorkers,
    Options,
    Range,
    refusal,
)


@dataclass(frozen=True)
class EvaluateMapsConfig(Options):
    """Options of the evaluation of score maps made by anyone.

    Args:
        maps: folder of score maps, .npy or gray PNG, one per image.
        annotations: ground-truth boxes or masks: a CSV or COCO file, or a folder of Pascal VOC, of
            YOLO, of wsolevaluation's metadata, of CUB-200-2011 or of masks as PNG.
        on_bad_annotation: fail ends the command at the first row of boxes that cannot be used; skip
            leaves such rows out, each with a line that says where and why, and their images in.
        out: folder to write; default: beside the maps, with -evaluation added to the name.
        images: folder of the pictures, where the annotations do not say how large they are; also
            tells which masks belong to which picture.
        masks: folder that the paths of masks in wsolevaluation's metadata start from; default:
            the metadata folder.
        ignore_value: value of pixels to ignore in masks, often 255; -1 where none has it; by
            default all but 0 is an object, and a mask that mixes 255 with others is refused.
        ignore_extra: leave out maps that are not in the annotations, instead of refusing them.
        normalize: scale each map to [0, 1] by its minimum and maximum; false takes maps in [0, 1]
            as they are.
        size: side of the square that maps are first resized to, bicubic; default: their own size.
        threshold: share of the score map's maximum above which a pixel belongs to the object, for
            right boxes; default: none, which leaves the figures that need no threshold.
        worst: how many of the worst maps to list.
        workers: threads that read and measure maps; 0 works in the main one.
        max_pixels: larger maps and masks are refused before they are read.
    """

    maps: Path
    annotations: Path
    out: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    ignore_value: Annotated[int, Range(at_least=-1, at_most=65_535)] | None = None
    ignore_extra: bool = False
    normalize: bool = True
    size: ImageSize | None = None
    threshold: FractionBelowOne | None = None
    worst: NonNegativeInt = 20
    workers: NumWorkers = 2
    on_bad_annotation: OnBad = "fail"
    max_pixels: MaxPixels = 50_000_000

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is read."""
        super().__post_init__()
        if self.size is not None and not self.normalize:
            raise refusal("size", self.size, "leave it out with --normalize false")
