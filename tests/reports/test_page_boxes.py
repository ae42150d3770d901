"""The boxes that a report draws in Chromium, and which images it shows."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from wsol.reports.report import write_report
from wsol.results.localization import PredictionInfo

from .conftest import CLASSES, OWN, SIZE, Example, located, save_photo, smooth_map
from .on_page import DRAWN, Open, best_iou, corners, names, settle, slide


def test_the_slider_draws_the_boxes_of_wsol(open_page: Open, example: Example) -> None:
    """At 20 thresholds, for 50 images, and at the prediction's own those of the prediction."""
    page = open_page(example.folder, viewport={"width": 1600, "height": 5000})
    settle(page)
    results = {result.image_id: result for result in example.results}
    drawn = page.evaluate(DRAWN)
    assert len(drawn) >= 50
    for name, boxes in drawn.items():
        own = results[name].boxes
        expected = np.column_stack((own[:, :2], own[:, 2:] - own[:, :2]))
        assert boxes == [pytest.approx(box) for box in expected.tolist()], name
    for threshold in [step / 20 for step in range(20) if step / 20 != OWN] + [0.99]:
        slide(page, threshold)
        for name, boxes in page.evaluate(DRAWN).items():
            result = results[name]
            expected = corners(result, threshold, "single") if result.heat_map.size else []
            assert boxes == [pytest.approx(box) for box in expected], (name, threshold)
    page.get_by_role("button", name="as predicted").first.click()
    settle(page)
    assert page.evaluate(DRAWN) == drawn


def test_an_odd_threshold_is_the_predictions_own(open_page: Open, tmp_path: Path) -> None:
    """It stands at the nearest step, and is shown as it is."""
    save_photo(tmp_path / "0.jpg", SIZE)
    result = located("0.jpg", smooth_map(np.random.default_rng(0), 20, 20), SIZE)
    write_report([result], PredictionInfo(CLASSES, tmp_path, 0.3456), tmp_path / "out")
    page = open_page(tmp_path / "out")
    for value, state in ((0.4, 0.4), (0.35, None), (0.34, 0.34)):
        slide(page, value)
        assert page.evaluate("wsol.view.state.threshold") == state
    page.get_by_role("button", name="as predicted").first.click()
    assert page.locator(".toolbar .threshold-group .value").inner_text() == "0.346"


def test_several_objects_each_have_a_box(open_page: Open, tmp_path: Path) -> None:
    """As objects_at finds them, and each with a class."""
    rng = np.random.default_rng(3)
    results = []
    for number in range(6):
        save_photo(tmp_path / f"photos/{number}.jpg", SIZE)
        score_map = smooth_map(rng, 60, 80, 5)
        results.append(located(f"{number}.jpg", score_map, SIZE, number % 3, 0.8, "multiple"))
    write_report(
        results, PredictionInfo(CLASSES, tmp_path / "photos", OWN, "multiple"), tmp_path / "out"
    )
    page = open_page(tmp_path / "out")
    settle(page)
    for threshold in (0.1, 0.5, 0.8):
        slide(page, threshold)
        drawn = page.evaluate(DRAWN)
        for result in results:
            expected = corners(result, threshold, "multiple")
            assert drawn[result.image_id] == [pytest.approx(box) for box in expected]
    page.evaluate("wsol.view.rows.forEach((row) => wsol.view.decisions.decide(row, 'accepted'))")
    content = page.evaluate("wsol.view.coco()")
    assert len(content["annotations"]) == sum(map(len, page.evaluate(DRAWN).values()))
    assert {one["category_id"] for one in content["annotations"]} == {1, 2, 3}


def test_filters_show_what_they_say(open_page: Open, example: Example) -> None:
    """Class, status, result, score, IoU and name, alone and together."""
    page = open_page(example.folder)
    page.get_by_role("button", name="Filters").click()
    results = {result.image_id: result for result in example.results}

    page.get_by_label("Status").select_option("error")
    assert names(page) == ["bad.jpg"]
    assert "the file is cut short" in page.locator(".card:visible .message").inner_text()
    page.get_by_label("Status").select_option("no_object")
    assert names(page) == ["nothing.jpg"]
    page.get_by_role("button", name="Reset").click()
    assert len(names(page)) == len(results)

    page.get_by_label("Class", exact=True).select_option("wren")
    expected = {
        name
        for name, result in results.items()
        if result.label == "wren" or (name in example.ground_truth and "wren" in name)
    }
    assert set(names(page)) == expected
    page.get_by_label("Name").fill("wren/")
    assert set(names(page)) == {name for name in expected if name.startswith("wren/")}
    page.get_by_role("button", name="Reset").click()

    page.get_by_label("Score, from, percent").fill("60")
    page.get_by_label("Score, to, percent").fill("80")
    assert set(names(page)) == {
        name for name, result in results.items() if 0.6 <= result.score <= 0.8
    }
    page.get_by_role("button", name="Reset").click()

    ious = {
        name: best_iou(results[name], ground_truth)
        for name, ground_truth in example.ground_truth.items()
    }
    page.get_by_label("IoU, to, percent").fill("45")
    assert set(names(page)) == {name for name, iou in ious.items() if iou <= 0.45}
    page.get_by_role("button", name="Reset").click()

    right = {
        name
        for name, iou in ious.items()
        if iou >= 0.5 and results[name].label == example.ground_truth[name].classes[0]
    }
    page.get_by_label("Result").select_option("right")
    assert set(names(page)) == right
    page.get_by_label("Result").select_option("wrong")
    assert set(names(page)) == set(ious) - right
    page.get_by_label("Result").select_option("class")
    wrong_class = {
        name
        for name, iou in ious.items()
        if iou >= 0.5 and results[name].label != example.ground_truth[name].classes[0]
    }
    assert set(names(page)) == wrong_class
    page.get_by_label("Name").fill("no such image")
    assert names(page) == []
    expect(page.get_by_text("No image matches these filters.")).to_be_visible()
    assert page.get_by_role("status").inner_text() == f"0 of {len(results)} images"


def test_images_are_sorted(open_page: Open, example: Example) -> None:
    """Worst first where truth is known; by score and by name."""
    page = open_page(example.folder)
    results = {result.image_id: result for result in example.results}
    ious = {
        name: best_iou(results[name], ground_truth)
        for name, ground_truth in example.ground_truth.items()
    }
    known = [ious[name] for name in names(page) if name in ious]
    assert known == sorted(known)
    assert set(names(page)[: len(ious)]) == set(ious)
    assert names(page)[-1] == "bad.jpg"
    page.get_by_label("Sort").select_option("name")
    assert names(page) == sorted(results)
    page.get_by_label("Sort").select_option("high")
    scores = [results[name].score for name in names(page)]
    assert scores == sorted(scores, reverse=True)
    page.get_by_label("Sort").select_option("given")
    assert names(page) == list(results)
