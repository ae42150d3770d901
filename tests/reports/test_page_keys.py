"""A report in Chromium by keys: accepting, rejecting, and the download of what is accepted."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from .conftest import CLASSES, SIZE, Example
from .on_page import DRAWN, Open, corners, names, settle, slide

DECIDED = """() => Object.fromEntries(
  [...wsol.view.decisions.made].map(([name, { what }]) => [name, what]))"""


def test_everything_can_be_done_with_keys(open_page: Open, example: Example) -> None:
    """Move, open, accept, reject, undo, close, help."""
    page = open_page(example.folder)
    settle(page)
    chosen = "wsol.view.order.indexOf(wsol.view.selected)"
    columns = page.evaluate("wsol.view.grid.columns")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(chosen) == 1 + columns
    active = page.locator("#images").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    order = names(page)
    assert dialog.get_by_role("heading").inner_text() == order[1 + columns]
    page.keyboard.press("a")
    page.keyboard.press("r")
    assert dialog.get_by_role("heading").inner_text() == order[3 + columns]
    page.keyboard.press("z")
    assert dialog.get_by_role("heading").inner_text() == order[2 + columns]
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    assert page.evaluate(DECIDED) == {order[1 + columns]: "accepted"}
    expect(page.get_by_text("1 accepted", exact=True)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    assert page.evaluate(chosen) == len(order) - 1
    # What is typed into a field is no command.
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Name").press_sequentially("arz")
    assert page.evaluate("wsol.view.decisions.made.size") == 1


def test_decisions_stay_when_the_page_is_opened_again(open_page: Open, example: Example) -> None:
    """The browser keeps them for this report."""
    page = open_page(example.folder)
    page.keyboard.press("a")
    page.keyboard.press("r")
    before = page.evaluate(DECIDED)
    page.reload()
    page.wait_for_function("globalThis.wsol && wsol.view")
    assert page.evaluate(DECIDED) == before
    assert sorted(before.values()) == ["accepted", "rejected"]
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Decision").select_option("accepted")
    assert names(page) == [name for name, what in before.items() if what == "accepted"]
    page.get_by_label("Decision").select_option("open")
    assert len(names(page)) == len(example.results) - 2


def test_decisions_do_without_storage(open_page: Open, example: Example, tmp_path: Path) -> None:
    """Some browsers give a page from disk none."""
    folder = tmp_path / "copy"
    shutil.copytree(example.folder, folder)
    script = "Object.defineProperty(window, 'localStorage', { get() { throw Error('none'); } });\n"
    (folder / "page/dom.js").write_text(script + (folder / "page/dom.js").read_text())
    page = open_page(folder)
    page.keyboard.press("a")
    assert page.evaluate("wsol.view.decisions.made.size") == 1


@pytest.mark.parametrize("moved", [False, True])
def test_accepted_boxes_are_downloaded_as_coco(
    moved: bool, open_page: Open, example: Example, tmp_path: Path
) -> None:
    """As they were shown when they were accepted, in pixels of the original images."""
    page = open_page(example.folder)
    settle(page)
    save = page.get_by_role("button", name="as COCO")
    assert save.is_disabled()
    accepted = names(page)[1:4]
    if moved:
        slide(page, 0.6)
        page.locator("#images").focus()
    page.keyboard.press("ArrowRight")
    for _ in accepted:
        page.keyboard.press("a")
    page.keyboard.press("r")
    slide(page, 0.8)
    with page.expect_download() as download:
        save.click()
    assert download.value.suggested_filename == "accepted.json"
    file = tmp_path / "accepted.json"
    download.value.save_as(file)
    content = json.loads(file.read_text(encoding="utf-8"))
    results = {result.image_id: result for result in example.results}
    assert [row["file_name"] for row in content["images"]] == [
        result.image_id for result in example.results if result.image_id in accepted
    ]
    assert content["categories"] == [{"id": i, "name": n} for i, n in enumerate(CLASSES, 1)]
    for row in content["images"]:
        result = results[row["file_name"]]
        assert (row["width"], row["height"]) == SIZE
        own = [one for one in content["annotations"] if one["image_id"] == row["id"]]
        if moved:
            expected = corners(result, 0.6, "single")
        else:
            sides = result.boxes[:, 2:] - result.boxes[:, :2]
            expected = np.column_stack((result.boxes[:, :2], sides)).tolist()
        assert [one["bbox"] for one in own] == [pytest.approx(box) for box in expected]
        for one in own:
            assert one["category_id"] == result.class_index + 1
            assert one["area"] == pytest.approx(one["bbox"][2] * one["bbox"][3])
            assert one["score"] == pytest.approx(result.score)
            assert one["iscrowd"] == 0
    ids = [one["id"] for one in content["annotations"]]
    assert len(set(ids)) == len(ids)


def test_what_is_decided_stays_as_it_was_decided(open_page: Open, example: Example) -> None:
    """Boxes and threshold of a decided image, also after a reload, until that is undone."""
    page = open_page(example.folder)
    settle(page)
    results = {result.image_id: result for result in example.results}
    first, second, third = names(page)[:3]
    page.keyboard.press("a")
    slide(page, 0.6)
    page.keyboard.press("r")
    at_own = page.evaluate(DRAWN)[first]

    def check(value: float, **thresholds: float | None) -> None:
        slide(page, value)
        drawn = page.evaluate(DRAWN)
        for name, threshold in zip((first, second, third), thresholds.values(), strict=True):
            at = at_own if threshold is None else corners(results[name], threshold, "single")
            assert drawn[name] == [pytest.approx(box) for box in at], (name, threshold)

    check(0.6, first=None, second=0.6, third=0.6)
    check(0.15, first=None, second=0.6, third=0.15)
    page.reload()
    page.wait_for_function("globalThis.wsol && wsol.view")
    check(0.8, first=None, second=0.6, third=0.8)
    # Another decision on the same image is about the boxes that it shows.
    row = "wsol.view.rows.find((row) => row.name === name)"
    page.evaluate(f"(name) => wsol.view.select({row})", second)
    page.keyboard.press("a")
    check(0.15, first=None, second=0.6, third=0.15)
    content = page.evaluate("wsol.view.coco()")
    boxes = {
        row["file_name"]: [a["bbox"] for a in content["annotations"] if a["image_id"] == row["id"]]
        for row in content["images"]
    }
    assert boxes.keys() == {first, second}
    assert boxes[second] == [pytest.approx(box) for box in corners(results[second], 0.6, "single")]
    page.evaluate(f"(name) => wsol.view.open({row})", second)
    expect(page.get_by_role("dialog")).to_contain_text("0.6, stored as accepted")
    page.locator(".viewer .accept").click()
    page.keyboard.press("Escape")
    check(0.8, first=None, second=0.8, third=0.8)
    page.keyboard.press("z")
    check(0.15, first=None, second=0.6, third=0.15)


def test_decisions_on_maps_that_are_not_here_yet_keep_their_threshold(
    open_page: Open, example: Example
) -> None:
    """The boxes are found when the map has come, at the threshold of the decision."""
    page = open_page(example.folder)
    settle(page)
    name = names(page)[0]
    (result,) = [each for each in example.results if each.image_id == name]
    content = page.evaluate(
        """async () => {
          const { view } = wsol;
          const row = view.selected;
          view.set({ threshold: 0.6 });
          view.renew(row, {});
          view.decide('accepted');
          if (view.decisions.kept(row).boxes) throw Error('the map is here already');
          view.set({ threshold: 0.1 });
          return view.coco();
        }"""
    )
    found = [one["bbox"] for one in content["annotations"]]
    assert found == [pytest.approx(box) for box in corners(result, 0.6, "single")]


def test_decisions_of_earlier_versions_are_as_predicted(open_page: Open, example: Example) -> None:
    """They were kept as words; what is no decision is passed over."""
    page = open_page(example.folder)
    first, second, third = names(page)[:3]
    page.evaluate(
        "(kept) => localStorage.setItem(wsol.view.decisions.key, JSON.stringify(kept))",
        {first: "accepted", second: {"what": "accepted", "threshold": 1, "boxes": [7]}, third: 3},
    )
    page.reload()
    page.wait_for_function("globalThis.wsol && wsol.view")
    assert page.evaluate(DECIDED) == {first: "accepted", second: "accepted"}
    slide(page, 0.8)
    (result,) = [each for each in example.results if each.image_id == first]
    sides = result.boxes[:, 2:] - result.boxes[:, :2]
    expected = np.column_stack((result.boxes[:, :2], sides)).tolist()
    assert page.evaluate(DRAWN)[first] == [pytest.approx(box) for box in expected]


def test_the_download_is_read_by_cocos_tools(open_page: Open, example: Example) -> None:
    """faster-coco-eval takes it as a truth, and the same boxes as results reach 100 percent."""
    coco = pytest.importorskip("faster_coco_eval")
    page = open_page(example.folder)
    page.evaluate("wsol.view.rows.forEach((row) => wsol.view.decisions.decide(row, 'accepted'))")
    content: dict[str, Any] = page.evaluate("wsol.view.coco()")
    ground_truth = coco.COCO(content)
    found = ground_truth.loadRes(
        [
            {key: one[key] for key in ("image_id", "category_id", "bbox", "score")}
            for one in content["annotations"]
        ]
    )
    score = coco.COCOeval_faster(ground_truth, found, "bbox")
    score.evaluate()
    score.accumulate()
    score.summarize()
    assert score.stats[0] == pytest.approx(1)
