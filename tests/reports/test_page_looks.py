"""How a report looks in Chromium: heat, colours, sizes, few images and many."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from wsol.reports.report import write_report
from wsol.results.localization import PredictionInfo

from .conftest import CLASSES, OWN, SIZE, Example, located, save_photo, smooth_map
from .on_page import FIRST, Open, settle


def test_heat_can_be_dimmed_and_switched_off(open_page: Open, example: Example) -> None:
    """The canvas has colours where the map is warm, fewer where it is dimmed."""
    page = open_page(example.folder)
    settle(page)
    alpha = """() => {
      const shown = document.querySelector('.card:not([hidden]) canvas:not([hidden])');
      const canvas = new OffscreenCanvas(shown.width, shown.height);
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(shown, 0, 0);
      const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
      return data.filter((value, i) => i % 4 === 3).reduce((a, b) => Math.max(a, b), 0);
    }"""
    assert page.evaluate(alpha) == pytest.approx(0.55 * 255, abs=1)
    page.locator(".toolbar input.opacity").fill("0.2")
    settle(page)
    assert page.evaluate(alpha) == pytest.approx(0.2 * 255, abs=1)
    page.get_by_role("button", name="Heat").click()
    settle(page)
    expect(page.locator(".card canvas:visible")).to_have_count(0)
    page.keyboard.press("h")
    settle(page)
    assert page.locator(".card canvas:visible").count() > 0


def test_dark_follows_the_system_or_the_button(open_page: Open, example: Example) -> None:
    """And stays as chosen."""
    colour = "getComputedStyle(document.body).backgroundColor"
    light = open_page(example.folder, color_scheme="light").evaluate(colour)
    page = open_page(example.folder, color_scheme="dark")
    dark = page.evaluate(colour)
    assert light != dark
    page.get_by_role("button", name="Colors: auto").click()
    assert page.evaluate(colour) == light
    page.reload()
    page.wait_for_function("globalThis.wsol && wsol.view")
    assert page.evaluate(colour) == light


def test_predicted_is_seen_beside_true(open_page: Open, example: Example) -> None:
    """Two images side by side, with both boxes and the overlap."""
    page = open_page(example.folder)
    page.locator(FIRST).dblclick()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("figure:visible")).to_have_count(2)
    ground_truth = dialog.locator("figure").nth(1)
    expect(ground_truth.locator(".box.true")).to_have_count(1)
    expect(ground_truth.locator(".box.predicted")).to_have_count(0)
    expect(dialog.get_by_text("IoU")).to_be_visible()
    dialog.get_by_role("button", name="Accept").click()
    expect(dialog.get_by_role("button", name="Accept")).to_have_attribute("aria-pressed", "true")
    dialog.get_by_role("button", name="Close").click()


@pytest.mark.parametrize("width", [360, 900])
def test_it_fits_small_screens(width: int, open_page: Open, example: Example) -> None:
    """Nothing is wider than the window."""
    page = open_page(example.folder, viewport={"width": width, "height": 740})
    settle(page)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width
    page.locator(FIRST).dblclick()
    assert page.evaluate("document.querySelector('.viewer').scrollWidth") <= width


@pytest.mark.parametrize("number", [0, 1])
def test_no_image_and_one(number: int, open_page: Open, tmp_path: Path) -> None:
    """Without truth there is a histogram instead of curves."""
    save_photo(tmp_path / "0.jpg", SIZE)
    results = [located("0.jpg", smooth_map(np.random.default_rng(0), 20, 20), SIZE)][:number]
    write_report(results, PredictionInfo(CLASSES, tmp_path, OWN), tmp_path / "out")
    page = open_page(tmp_path / "out")
    for key in ("ArrowRight", "a", "r", "z", "Enter"):
        page.keyboard.press(key)
    assert page.get_by_role("status").inner_text() == ("0 images", "1 image")[number]
    expect(page.get_by_text("Images by score")).to_be_visible()
    assert page.get_by_text("There are no images.").is_visible() == (number == 0)


def test_a_zip_unpacked_to_another_folder_works(
    open_page: Open, example: Example, tmp_path: Path
) -> None:
    """All addresses are relative; the folder's name may be anything."""
    archive = shutil.make_archive(str(tmp_path / "report"), "zip", example.folder)
    place = tmp_path / "else where #1 %41 日本"
    with zipfile.ZipFile(archive) as file:
        file.extractall(place)
    page = open_page(place)
    settle(page)
    page.wait_for_function("document.querySelector('.card img').naturalWidth > 0")
    assert page.locator(".card .predicted").count() > 0


def test_only_what_is_near_is_in_the_page(open_page: Open, tmp_path: Path) -> None:
    """Hundreds of images are a few dozen cards, at the end as at the beginning."""
    save_photo(tmp_path / "0.jpg", SIZE)
    score_map = smooth_map(np.random.default_rng(0), 16, 16)
    results = [located("0.jpg", score_map, SIZE, score=number / 400) for number in range(400)]
    write_report(results, PredictionInfo(CLASSES, tmp_path, OWN), tmp_path / "out", side=16)
    page = open_page(tmp_path / "out")
    settle(page)
    assert page.locator(".card").count() < 60
    page.evaluate("scrollTo({ top: 1e9, behavior: 'instant' })")
    page.wait_for_function("[...wsol.view.grid.cards.keys()].some((row) => row.number === 399)")
    settle(page)
    assert page.locator(".card").count() < 60
    page.keyboard.press("Home")
    assert page.evaluate("scrollY < 600")


def tiles(page: Page) -> dict[str, str]:
    """Return what stands above the images: names and values."""
    names = page.locator(".tile dt").all_inner_texts()
    return dict(zip(names, page.locator(".tile dd").all_inner_texts(), strict=True))


def test_figures_have_the_names_of_tables_and_counts_are_counts(
    open_page: Open, tmp_path: Path
) -> None:
    """No keys of files, no percent of images; what did not go wrong has no tile."""
    save_photo(tmp_path / "0.jpg", SIZE)
    result = located("0.jpg", smooth_map(np.random.default_rng(0), 20, 20), SIZE)
    metrics = {"gt_known": 48.3, "box_ap50": 12.0, "max_box_acc_50": None, "threshold": 0.2}
    for errors in (0, 3):
        counts = {"num_images": 1200, "num_error": errors}
        folder = tmp_path / f"out{errors}"
        write_report(
            [result], PredictionInfo(CLASSES, tmp_path, OWN), folder, metrics=metrics | counts
        )
        shown = tiles(open_page(folder))
        expected = {"Images": "1,200", "GT-known Loc": "48.3%", "AP50 of boxes": "12.0%"}
        for name, value in expected.items():
            assert shown.pop(name) == value
        assert list(shown.values()) == (["3"] if errors else [])


def test_a_predictions_own_figures_are_not_those_of_true_classes(
    open_page: Open, example: Example
) -> None:
    """Their maps are of the predicted class, and so they are not called GT-known."""
    shown = tiles(open_page(example.folder))
    assert {"Class right", "Box right, IoU 50", "Class and box right, IoU 50"} < shown.keys()
    assert not {"GT-known Loc", "Top-1 Loc", "MaxBoxAcc, IoU 50"} & shown.keys()
