"""The page in Chromium, as it is served: uploads, choices, downloads, and nothing that runs."""

import io
import json
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect


@pytest.fixture
def page(browser: Browser, empty: httpx.Client) -> Iterator[Page]:
    """Return the page of an app without images; nothing may go wrong in it, and nothing run."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    wrong: list[str] = []
    options: list[str] = []
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
    page.on("request", lambda request: options.append(request.url))
    page.goto(str(empty.base_url))
    expect(page.locator(".drop")).to_be_visible()
    yield page
    page.close()
    # A request that the server refuses is written there by the browser itself.
    assert [line for line in wrong if "the server responded with a status of 4" not in line] == []
    assert {url.split("/")[2] for url in options if not url.startswith(("blob:", "data:"))} == {
        str(empty.base_url).split("/")[2]
    }


def choose(page: Page, *files: Path) -> None:
    """Choose files and wait until all have their answer."""
    page.set_input_files("#choose-files", [str(file) for file in files])
    settle(page)


def settle(page: Page) -> None:
    """Wait until no file is on its way."""
    expect(page.locator(".uploads li:not(.failed)")).to_have_count(0, timeout=30_000)


def cards(page: Page) -> list[str]:
    """Return what the cards say, in the order in which they are shown."""
    found = page.locator(".card:visible").all()
    found.sort(key=lambda card: int(card.get_attribute("aria-posinset") or 0))
    return [card.get_attribute("aria-label") or "" for card in found]


def send(page: Page, kind: str, files: list[tuple[str, bytes]]) -> None:
    """Drop or paste files."""
    given = [[name, b64encode(data).decode()] for name, data in files]
    page.evaluate(
        """([files, kind]) => {
            const transfer = new DataTransfer();
            for (const [name, data] of files) {
                const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                transfer.items.add(new File([bytes], name, {type: 'image/png'}));
            }
            const event = kind === 'paste'
                ? new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true})
                : new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true});
            document.body.dispatchEvent(event);
        }""",
        [given, kind],
    )


def test_good_and_bad_files_are_uploaded(page: Page, photos: list[Path], tmp_path: Path) -> None:
    """Good ones become cards, bad ones lines that say why."""
    (tmp_path / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "large.png").write_bytes(photos[0].read_bytes() + bytes(1 << 20))
    choose(page, *photos, tmp_path / "drawing.svg", tmp_path / "large.png")
    expect(page.locator(".card:visible")).to_have_count(3)
    for photo, label in zip(photos, cards(page), strict=True):
        assert label.startswith(photo.name)
    failed = page.locator(".uploads .failed")
    expect(failed).to_have_count(2)
    text = " ".join(failed.all_inner_texts())
    assert "not an image file of a known format" in text
    assert "larger than 1,048,576 bytes" in text
    loaded = page.locator(".card img").evaluate_all("all => all.map((one) => one.naturalWidth)")
    assert all(loaded)
    page.get_by_role("button", name="Clear messages").click()
    expect(failed).to_have_count(0)
    page.reload()
    expect(page.locator(".card:visible")).to_have_count(3)


def test_images_are_dropped_and_pasted(page: Page, photos: list[Path]) -> None:
    """Both ways end in cards."""
    data = photos[0].read_bytes()
    send(page, "dragover", [("a.png", data)])
    expect(page.locator("body")).to_have_class("app nothing dragging")
    send(page, "drop", [("a.png", data), ("b.png", data)])
    expect(page.locator(".card:visible")).to_have_count(2)
    expect(page.locator("body")).to_have_class("app")
    send(page, "paste", [("image.png", data)])
    expect(page.locator(".card:visible")).to_have_count(3)
    assert [label.split(",")[0] for label in cards(page)] == ["a.png", "b.png", "image.png"]


def test_a_folder_keeps_its_paths(page: Page, photos: list[Path], tmp_path: Path) -> None:
    """Two files of one name in two folders stay apart; hidden files are left out."""
    for name in ("one/a.png", "two/a.png", "two/.hidden"):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).write_bytes(photos[0].read_bytes())
    page.set_input_files("#choose-folder", str(tmp_path / "all"))
    expect(page.locator(".card:visible")).to_have_count(2)
    names = {label.split(",")[0] for label in cards(page)}
    assert names == {"all/one/a.png", "all/two/a.png"}


def test_hostile_names_are_text(page: Page, photos: list[Path]) -> None:
    """Of files and of classes, in cards, lists and the large view."""
    bad = "<img src=x onerror=alert(1)>"
    send(page, "drop", [(f"{bad}.png", photos[0].read_bytes()), (f"{bad}.svg", b"<svg/>")])
    settle(page)
    expect(page.locator(".card:visible")).to_have_count(1)
    card = page.locator(".card:visible")
    card.dblclick()
    select = page.get_by_label("Class to localize")
    options = select.locator("option").all_inner_texts()
    hostile = next((text for text in options if bad in text), None)
    assert hostile is not None, "the first five of six classes; this one is among them"
    select.select_option(bad)
    expect(page.locator(".viewer dd").first).to_contain_text(bad)
    expect(page.locator(".viewer h2")).to_have_text(f"{bad}.png")
    expect(page.locator("img[src=x]")).to_have_count(0)


def test_what_is_decided_is_not_localized_again(
    page: Page, photos: list[Path], empty: httpx.Client
) -> None:
    """Neither by another localizer for all nor for another class, until that is undone."""
    choose(page, *photos[:2])
    before = empty.get("/api/images").json()["images"]
    page.locator("[aria-posinset='1']:visible").dblclick()
    page.keyboard.press("a")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_label("Class to localize")).to_be_disabled()
    page.keyboard.press("Escape")
    page.get_by_label("Localizer").select_option("layercam")
    expect(page.locator(".choices .told")).to_have_text("localized 1")
    after = empty.get("/api/images").json()["images"]
    assert after[0] == before[0]
    assert after[1]["localizer"] == "layercam"
    page.locator("[aria-posinset='1']:visible").dblclick()
    page.locator(".viewer .accept").click()
    expect(page.get_by_label("Class to localize")).to_be_enabled()


def test_a_card_stays_the_card_of_its_image(page: Page, photos: list[Path]) -> None:
    """While more images come and the window is resized: a click goes where it was aimed at."""
    choose(page, *photos[:2])
    first = page.locator("[aria-posinset='1']:visible").element_handle()
    choose(page, photos[2])
    page.set_viewport_size({"width": 1000, "height": 900})
    expect(page.locator("[aria-posinset='3']:visible")).to_have_count(1)
    assert first.get_attribute("aria-posinset") == "1"


def test_the_second_click_of_a_double_click_decides_nothing(page: Page, photos: list[Path]) -> None:
    """The first one opens the selected image, with a button where the pointer is."""
    choose(page, photos[0])
    stage = page.locator(".card:visible .stage").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    accept = page.locator(".viewer .accept")
    accept.evaluate(
        """(button, [x, y]) => Object.assign(button.style,
            {position: 'fixed', left: `${x - 9}px`, top: `${y - 9}px`})""",
        [x, y],
    )
    page.mouse.dblclick(x, y)
    expect(accept).to_be_visible()
    expect(accept).to_have_attribute("aria-pressed", "false")
    page.wait_for_timeout(700)
    page.mouse.click(x, y)
    expect(accept).to_have_attribute("aria-pressed", "true")


def test_another_class_and_another_localizer(
    page: Page, photos: list[Path], empty: httpx.Client
) -> None:
    """What is chosen is what the server looks for, and what the page then shows."""
    choose(page, *photos[:2])
    (first, _) = empty.get("/api/images").json()["images"]
    page.locator("[aria-posinset='1']:visible").dblclick()
    label = first["likely"][3][0]
    page.get_by_label("Class to localize").select_option(label)
    expect(page.locator(".viewer dd").first).to_contain_text(label)
    chosen = [row["chosen"] for row in empty.get("/api/images").json()["images"]]
    assert chosen == [label, ""], "of the image that was opened"
    page.keyboard.press("Escape")
    page.get_by_label("Localizer").select_option("layercam")
    expect(page.locator(".choices .told")).to_have_text("localized 2")
    page.locator(".choices select").nth(1).select_option("layer2")
    expect(page.locator(".choices .told")).to_have_text("localized 2")
    rows = empty.get("/api/images").json()["images"]
    assert [(row["localizer"], row["layer"]) for row in rows] == [("layercam", "layer2")] * 2
    assert rows[0]["class"] == label, "the class that was chosen stays"
    assert rows[0]["boxes"] != first["boxes"]
    line = page.locator("[aria-posinset='1']:visible svg rect").first
    assert float(line.get_attribute("x")) == rows[0]["boxes"][0][0]
    page.get_by_label("Localizer").select_option("attention_rollout")
    expect(page.locator(".choices .told")).to_contain_text("attention")
    expect(page.get_by_label("Localizer")).to_have_value("layercam")


def test_the_slider_and_downloads(page: Page, photos: list[Path], empty: httpx.Client) -> None:
    """The slider changes the boxes in the page, and the file has those of its threshold."""
    choose(page, photos[0])
    box = page.locator(".card:visible svg rect").first
    before = [box.get_attribute(name) for name in ("x", "y", "width", "height")]
    slider = page.locator(".toolbar input.threshold")
    slider.fill("0.8")
    expect(page.locator(".toolbar .threshold-group")).to_contain_text("0.8")
    page.wait_for_timeout(200)
    after = [box.get_attribute(name) for name in ("x", "y", "width", "height")]
    assert before != after
    page.get_by_label("All boxes as").select_option("coco")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download", exact=True).click()
    assert waiting.value.suggested_filename == "wsol-coco.zip"
    content = Path(waiting.value.path()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (row, *_) = json.loads(archive.read("predictions.json"))
    # The small run's maps are as small as those that the page carries, so both agree.
    assert row["bbox"] == pytest.approx([float(value) for value in after])


def test_images_are_removed(page: Page, photos: list[Path], empty: httpx.Client) -> None:
    """One, and then all."""
    choose(page, *photos)
    page.locator(".card:visible").first.dblclick()
    page.get_by_role("button", name="Remove image").click()
    expect(page.locator(".card:visible")).to_have_count(2)
    assert len(empty.get("/api/images").json()["images"]) == 2
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator("body")).to_have_class("app nothing")
    assert empty.get("/api/images").json()["images"] == []


def test_the_policy_is_in_force(browser: Browser, empty: httpx.Client) -> None:
    """Scripts inside the page, and other sites, are refused by the browser."""
    page = browser.new_page()
    page.goto(str(empty.base_url))
    refused = page.evaluate(
        """async () => {
            const refused = [];
            document.addEventListener('securitypolicyviolation', (event) =>
                refused.push(event.effectiveDirective));
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.head.append(script);
            await fetch('http://127.0.0.1:1/').catch(() => null);
            await new Promise((resolve) => setTimeout(resolve, 200));
            return [window.ran === true, refused];
        }"""
    )
    page.close()
    assert refused[0] is False
    assert {"script-src-elem", "connect-src"} <= set(refused[1])
