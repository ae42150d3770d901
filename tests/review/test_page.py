"""The report in Chromium: what a person does with it, from a folder on disk."""

import json
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from wsol.formats.about import About
from wsol.localization import Localization
from wsol.maps import boxes_at, objects_at, scale_boxes
from wsol.maps.levels import grey_levels
from wsol.review.report import write_report
from wsol.review.rows import row_of
from wsol.review.score_map import small_map
from wsol.review.truth import Truth

from .conftest import CLASSES, OWN, SIZE, Example, located, png_of, save_photo, smooth_map

Open = Callable[..., Page]

DRAWN = """() => Object.fromEntries([...wsol.view.grid.cards.values()].map((card) => [
  card.row.name,
  [...card.picture.lines.querySelectorAll('.predicted .line')].map((line) =>
    ['x', 'y', 'width', 'height'].map((side) => Number(line.getAttribute(side)))),
]))"""


FIRST = ".card[aria-posinset='1']"


def settle(page: Page) -> None:
    """Wait until all cards in the page have their heat maps and boxes."""
    page.wait_for_function(
        """() => wsol.view.grid.unfilled.size === 0 && !wsol.view.drawing
          && [...wsol.view.grid.cards.keys()].every((row) => wsol.view.mapNow(row) !== undefined)"""
    )
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def names(page: Page) -> list[str]:
    """Return the names of the pictures that are shown, in order."""
    found: list[str] = page.evaluate("wsol.view.order.map((row) => row.name)")
    return found


def slide(page: Page, value: float) -> None:
    """Move the real slider, as a hand does."""
    page.locator(".toolbar input.threshold").fill(str(value))
    settle(page)


def carried(result: Localization) -> np.ndarray:
    """Return the map that the page has, as wsol.maps takes it."""
    return (small_map(result.heat_map) / 255 + 1e-9).clip(0, 1)


def corners(result: Localization, threshold: float, objects: str) -> list[list[float]]:
    """Return x, y, width and height of the boxes that the page should draw."""
    score_map = carried(result)
    assert (grey_levels(score_map) == small_map(result.heat_map)).all()
    found = (
        objects_at(score_map, threshold).boxes
        if objects == "several"
        else boxes_at(score_map, threshold, "largest")
    )
    boxes = scale_boxes(found, score_map.shape[::-1], result.image_size)
    return np.column_stack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2])).tolist()


def test_the_slider_draws_the_boxes_of_wsol(open_page: Open, example: Example) -> None:
    """At 20 thresholds, for 50 pictures, and at the prediction's own those of the prediction."""
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
            expected = corners(result, threshold, "one") if result.heat_map.size else []
            assert boxes == [pytest.approx(box) for box in expected], (name, threshold)
    page.get_by_role("button", name="as predicted").first.click()
    settle(page)
    assert page.evaluate(DRAWN) == drawn


def test_an_odd_threshold_is_the_predictions_own(open_page: Open, tmp_path: Path) -> None:
    """It stands at the nearest step, and is shown as it is."""
    save_photo(tmp_path / "0.jpg", SIZE)
    result = located("0.jpg", smooth_map(np.random.default_rng(0), 20, 20), SIZE)
    write_report([result], About(CLASSES, tmp_path, 0.3456), tmp_path / "out")
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
        results.append(located(f"{number}.jpg", score_map, SIZE, number % 3, 0.8, "several"))
    write_report(results, About(CLASSES, tmp_path / "photos", OWN, "several"), tmp_path / "out")
    page = open_page(tmp_path / "out")
    settle(page)
    for threshold in (0.1, 0.5, 0.8):
        slide(page, threshold)
        drawn = page.evaluate(DRAWN)
        for result in results:
            expected = corners(result, threshold, "several")
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
        if result.label == "wren" or (name in example.truth and "wren" in name)
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

    ious = {name: best_iou(results[name], truth) for name, truth in example.truth.items()}
    page.get_by_label("IoU, to, percent").fill("45")
    assert set(names(page)) == {name for name, iou in ious.items() if iou <= 0.45}
    page.get_by_role("button", name="Reset").click()

    right = {
        name
        for name, iou in ious.items()
        if iou >= 0.5 and results[name].label == example.truth[name].classes[0]
    }
    page.get_by_label("Result").select_option("right")
    assert set(names(page)) == right
    page.get_by_label("Result").select_option("wrong")
    assert set(names(page)) == set(ious) - right
    page.get_by_label("Result").select_option("class")
    wrong_class = {
        name
        for name, iou in ious.items()
        if iou >= 0.5 and results[name].label != example.truth[name].classes[0]
    }
    assert set(names(page)) == wrong_class
    page.get_by_label("Name").fill("no such picture")
    assert names(page) == []
    assert page.get_by_text("No picture passes these filters.").is_visible()
    assert page.get_by_role("status").inner_text() == f"0 of {len(results)} pictures"


def best_iou(result: Localization, truth: Truth) -> float:
    """Return the best overlap of any two boxes, worked out anew."""
    best = 0.0
    for a in result.boxes:
        for b in truth.boxes:
            width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
            both = max(width, 0) * max(height, 0)
            areas = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])
            best = max(best, float(both / (areas - both)))
    return best


def test_pictures_are_sorted(open_page: Open, example: Example) -> None:
    """Worst first where truth is known; by score and by name."""
    page = open_page(example.folder)
    results = {result.image_id: result for result in example.results}
    ious = {name: best_iou(results[name], truth) for name, truth in example.truth.items()}
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


def test_everything_can_be_done_with_keys(open_page: Open, example: Example) -> None:
    """Move, open, accept, reject, undo, close, help."""
    page = open_page(example.folder)
    settle(page)
    chosen = "wsol.view.order.indexOf(wsol.view.selected)"
    columns = page.evaluate("wsol.view.grid.columns")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(chosen) == 1 + columns
    active = page.locator("#pictures").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
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
    assert not dialog.is_visible()
    assert page.evaluate("Object.fromEntries(wsol.view.decisions.made)") == {
        order[1 + columns]: "accepted"
    }
    assert page.get_by_text("1 accepted", exact=True).is_visible()
    page.keyboard.press("?")
    assert page.get_by_role("heading", name="Keys").is_visible()
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
    before = page.evaluate("Object.fromEntries(wsol.view.decisions.made)")
    page.reload()
    page.wait_for_function("globalThis.wsol && wsol.view")
    assert page.evaluate("Object.fromEntries(wsol.view.decisions.made)") == before
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
    """As they are shown, in pixels of the original pictures."""
    page = open_page(example.folder)
    settle(page)
    save = page.get_by_role("button", name="as COCO")
    assert save.is_disabled()
    accepted = names(page)[1:4]
    page.keyboard.press("ArrowRight")
    for _ in accepted:
        page.keyboard.press("a")
    page.keyboard.press("r")
    if moved:
        slide(page, 0.6)
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
            expected = corners(result, 0.6, "one")
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


def test_the_download_is_read_by_cocos_tools(open_page: Open, example: Example) -> None:
    """faster-coco-eval takes it as a truth, and the same boxes as results reach 100 percent."""
    coco = pytest.importorskip("faster_coco_eval")
    page = open_page(example.folder)
    page.evaluate("wsol.view.rows.forEach((row) => wsol.view.decisions.decide(row, 'accepted'))")
    content: dict[str, Any] = page.evaluate("wsol.view.coco()")
    truth = coco.COCO(content)
    found = truth.loadRes(
        [
            {key: one[key] for key in ("image_id", "category_id", "bbox", "score")}
            for one in content["annotations"]
        ]
    )
    judge = coco.COCOeval_faster(truth, found, "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert judge.stats[0] == pytest.approx(1)


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
    assert page.locator(".card canvas:visible").count() == 0
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
    page.get_by_role("button", name="Colours: auto").click()
    assert page.evaluate(colour) == light
    page.reload()
    page.wait_for_function("globalThis.wsol && wsol.view")
    assert page.evaluate(colour) == light


def test_predicted_is_seen_beside_true(open_page: Open, example: Example) -> None:
    """Two pictures side by side, with both boxes and the overlap."""
    page = open_page(example.folder)
    page.locator(FIRST).dblclick()
    dialog = page.get_by_role("dialog")
    assert dialog.locator("figure:visible").count() == 2
    truth = dialog.locator("figure").nth(1)
    assert truth.locator(".box.true").count() == 1
    assert truth.locator(".box.predicted").count() == 0
    assert dialog.get_by_text("IoU").is_visible()
    dialog.get_by_role("button", name="Accept").click()
    assert dialog.get_by_role("button", name="Accept").get_attribute("aria-pressed") == "true"
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
def test_no_picture_and_one(number: int, open_page: Open, tmp_path: Path) -> None:
    """Without truth there is a histogram instead of curves."""
    save_photo(tmp_path / "0.jpg", SIZE)
    results = [located("0.jpg", smooth_map(np.random.default_rng(0), 20, 20), SIZE)][:number]
    write_report(results, About(CLASSES, tmp_path, OWN), tmp_path / "out")
    page = open_page(tmp_path / "out")
    for key in ("ArrowRight", "a", "r", "z", "Enter"):
        page.keyboard.press(key)
    assert page.get_by_role("status").inner_text() == ("0 pictures", "1 picture")[number]
    assert page.get_by_text("Pictures by score").is_visible()
    assert page.get_by_text("There are no pictures here.").is_visible() == (number == 0)


def test_a_zip_unpacked_elsewhere_works(open_page: Open, example: Example, tmp_path: Path) -> None:
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
    """Hundreds of pictures are a few dozen cards, at the end as at the beginning."""
    save_photo(tmp_path / "0.jpg", SIZE)
    score_map = smooth_map(np.random.default_rng(0), 16, 16)
    results = [located("0.jpg", score_map, SIZE, score=number / 400) for number in range(400)]
    write_report(results, About(CLASSES, tmp_path, OWN), tmp_path / "out", side=16)
    page = open_page(tmp_path / "out")
    settle(page)
    assert page.locator(".card").count() < 60
    page.evaluate("scrollTo({ top: 1e9, behavior: 'instant' })")
    page.wait_for_function("[...wsol.view.grid.cards.keys()].some((row) => row.number === 399)")
    settle(page)
    assert page.locator(".card").count() < 60
    page.keyboard.press("Home")
    assert page.evaluate("scrollY < 600")


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "=cmd|x.jpg",
    "../../x.jpg",
    "</script><script>alert(1)</script>.jpg",
    "a\u2028alert(1)\u2029.jpg",
    "javascript:alert(1).jpg",
    "\udcff'\"`${alert(1)}.jpg",
    "__proto__",
)


def test_hostile_names_are_text(open_page: Open, tmp_path: Path) -> None:
    """Of files, classes, models and errors; nothing is run, fetched or written elsewhere."""
    photos = tmp_path / "a/b/photos"
    save_photo(photos / "x.jpg", SIZE)
    shutil.copy(photos / "x.jpg", tmp_path / "a/x.jpg")
    rng = np.random.default_rng(0)
    results = []
    truth = {}
    for number, name in enumerate(HOSTILE):
        located_here = located(name, smooth_map(rng, 12, 12), SIZE)
        results.append(
            Localization(
                name, SIZE, HOSTILE[number], number, 0.5, located_here.heat_map,
                located_here.boxes, np.array([0.5]), np.array([number]),
            )
        )  # fmt: skip
        truth[name] = Truth(located_here.boxes, (name,), (name,))
    about = About(HOSTILE, photos, OWN, "one", HOSTILE[0])
    write_report(results, about, tmp_path / "out", truth=truth)
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert written == {"a", "out"}
    for path in (tmp_path / "out/data").iterdir():
        text = path.read_text(encoding="ascii")
        assert "<" not in text
    page = open_page(tmp_path / "out")
    settle(page)
    shown = page.locator(".card .name").all_inner_texts()
    assert "<img src=x onerror=alert(1)>" in shown
    assert "../../x.jpg" in shown
    page.get_by_role("button", name="Filters").click()
    page.locator(FIRST).dblclick()
    for _ in HOSTILE:
        page.keyboard.press("a")
    page.keyboard.press("Escape")
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("wsol.view.decisions.count(wsol.view.rows).accepted") == len(HOSTILE)
    content = page.evaluate("wsol.view.coco()")
    assert {row["file_name"] for row in content["images"]} >= {"=cmd|x.jpg", "../../x.jpg"}


STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def test_it_works_under_a_strict_policy(browser: Browser, example: Example, tmp_path: Path) -> None:
    """As the app serves it: no inline script or style, nothing from elsewhere."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", STRICT)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=example.folder)
    ) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(accept_downloads=True)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        home = f"http://127.0.0.1:{server.server_port}/"
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{home}index.html")
        page.wait_for_function("globalThis.wsol && wsol.view")
        settle(page)
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        settle(page)
        page.keyboard.press("Escape")
        with page.expect_download():
            page.get_by_role("button", name="as COCO").click()
        page.close()
        server.shutdown()
    assert said == []
    assert [url for url in asked if not url.startswith((home, "blob:"))] == []


def test_pictures_may_come_later(open_page: Open, tmp_path: Path) -> None:
    """As an app's uploads do, from another source."""
    write_report([], About(CLASSES, tmp_path, OWN), tmp_path / "out")
    page = open_page(tmp_path / "out")
    score_map = smooth_map(np.random.default_rng(0), 32, 32)
    result = located("new.jpg", score_map, SIZE)
    row = {**row_of(result, None, frozenset(CLASSES)), "map": True}
    page.evaluate(
        """({row, png}) => {
          wsol.view.source.photo = () => null;
          wsol.view.source.map = async () => Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
          wsol.view.add([row]);
        }""",
        {"row": row, "png": png_of(grey_levels(score_map))},
    )
    settle(page)
    slide(page, 0.7)
    expected = [pytest.approx(box) for box in corners(result, 0.7, "one")]
    assert page.evaluate(DRAWN) == {"new.jpg": expected}
    assert page.get_by_role("status").inner_text() == "1 picture"
