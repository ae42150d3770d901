"""Masks and heat maps as PNG."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol.data.score_maps import find_score_maps, load_score_map
from wsol.formats._files import from_cell
from wsol.maps.normalize import grey_levels
from wsol.results.localization import Localization, box_masks

Write = Callable[[str, list[Localization]], Path]


def listed(folder: Path) -> dict[str, str]:
    """Return the file of each image, by the folder's list."""
    with (folder / "images.csv").open(encoding="utf-8", newline="") as file:
        return {
            from_cell(row["image_id"]): row["file"].removeprefix("'")
            for row in csv.DictReader(file)
        }


@settings(max_examples=40)
@given(data=st.data())
def test_a_mask_has_the_numbers_of_the_boxes(
    data: st.DataObject, predictions: st.SearchStrategy[list[Localization]], write: Write
) -> None:
    """At the image's size; the likeliest is on top; all that is above 0 is object."""
    results = data.draw(predictions)
    folder = write("masks", results) / "masks"
    files = listed(folder)
    assert set(files) == {result.image_id for result in results}
    for result in results:
        if result.error is not None:
            assert files[result.image_id] == ""
            continue
        with Image.open(folder / files[result.image_id]) as image:
            assert image.mode == "P"
            numbers = np.asarray(image)
        masks = [*box_masks(result, 0.2)]
        union = np.any([np.zeros(numbers.shape, bool), *masks], axis=0)
        np.testing.assert_array_equal(numbers > 0, union)
        if masks:
            np.testing.assert_array_equal(numbers == 1, masks[0])
        assert numbers.max(initial=0) <= len(masks)


@settings(max_examples=40)
@given(data=st.data())
def test_heat_maps_keep_their_grey_levels(
    data: st.DataObject, predictions: st.SearchStrategy[list[Localization]], write: Write
) -> None:
    """And wsol's own reader of score maps takes them."""
    results = data.draw(predictions)
    folder = write("heatmaps", results) / "heatmaps"
    files = listed(folder)
    for result in results:
        if result.error is not None:
            assert files[result.image_id] == ""
            continue
        score_map = load_score_map(folder / files[result.image_id])
        np.testing.assert_array_equal(grey_levels(score_map), grey_levels(result.heat_map))


def test_heat_maps_are_matched_to_their_images(write: Write) -> None:
    """As ``wsol evaluate --maps`` finds them, also with the same stem twice."""
    names = ["crow/a.jpg", "crow/a.png", "wren/a.jpg"]
    maps = np.ones((2, 2), np.float32)
    results = [Localization(name, (4, 4), heat_map=maps) for name in names]
    found = find_score_maps(write("heatmaps", results) / "heatmaps", names)
    assert found.files == ("crow/a.jpg.png", "crow/a.png.png", "wren/a.jpg.png")
    assert found.extra == ()
