"""What a report in Chromium keeps out, and how another host uses its page."""

import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from wsol.maps.normalize import grey_levels
from wsol.reports.page_data import GroundTruth, row_of
from wsol.reports.report import write_report
from wsol.results.localization import Localization, PredictionInfo

from .conftest import CLASSES, OWN, SIZE, Example, located, png_of, save_photo, smooth_map
from .on_page import DRAWN, FIRST, Open, corners, settle, slide

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
    ground_truth = {}
    for number, name in enumerate(HOSTILE):
        located_here = located(name, smooth_map(rng, 12, 12), SIZE)
        results.append(
            Localization(
                name, SIZE, HOSTILE[number], number, 0.5, located_here.heat_map,
                located_here.boxes, np.array([0.5]), np.array([number]),
            )
        )  # fmt: skip
        ground_truth[name] = GroundTruth(located_here.boxes, (name,), (name,))
    info = PredictionInfo(HOSTILE, photos, OWN, "single", HOSTILE[0])
    write_report(results, info, tmp_path / "out", ground_truth=ground_truth)
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
    expect(page.locator("img[src=x]")).to_have_count(0)
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
        options: list[str] = []
        page.on("request", lambda request: options.append(request.url))
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
    assert [url for url in options if not url.startswith((home, "blob:"))] == []


def test_images_may_come_later(open_page: Open, tmp_path: Path) -> None:
    """As an app's uploads do, from another source."""
    write_report([], PredictionInfo(CLASSES, tmp_path, OWN), tmp_path / "out")
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
    expected = [pytest.approx(box) for box in corners(result, 0.7, "single")]
    assert page.evaluate(DRAWN) == {"new.jpg": expected}
    assert page.get_by_role("status").inner_text() == "1 image"
