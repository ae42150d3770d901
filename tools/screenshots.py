"""Take the screenshots of the report in docs/images, with toy images and a run trained on them.

Run: PYTHONPATH=src python tools/screenshots.py [--work FOLDER]

The folder --work keeps data, run and prediction, and is reused if it has them.
"""

import argparse
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from wsol.data.open import open_data
from wsol.data.synthetic.toy import write_toy
from wsol.demo import demo_adl, demo_training
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict
from wsol.reports.page_data import ground_truth_of
from wsol.reports.report import write_report
from wsol.results.store import PredictionStore
from wsol.training.trainer import train

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
DOCS = Path(__file__).parents[1] / "docs/images"
WIDTH, HEIGHT = 1280, 860
READY = """() => wsol.view.grid.unfilled.size === 0
  && [...wsol.view.grid.cards.keys()].every((row) => wsol.view.mapNow(row) !== undefined)
  && [...document.images].every((image) => image.complete)"""


def main() -> None:
    """Make the report and take its screenshots."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        page = make(options.work or Path(temporary))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for scheme, name in (("light", "report"), ("dark", "report-dark")):
                window = browser.new_page(
                    viewport={"width": WIDTH, "height": HEIGHT},
                    color_scheme="light" if scheme == "light" else "dark",
                )
                window.goto(page.as_uri())
                window.wait_for_function("globalThis.wsol && wsol.view")
                if scheme == "dark":
                    window.evaluate("wsol.view.open(wsol.view.order[40])")
                save(window, DOCS / f"{name}.jpg")
            browser.close()


def make(work: Path) -> Path:
    """Make a report of toy images and return its page."""
    work = work.absolute()
    data, run, boxes = work / "toy", work / "toy-adl", work / "boxes"
    if not (boxes / "localizations/info.json").is_file():
        if not run.is_dir():
            write_toy(data)
            train(demo_training(data, run, demo_adl(), seed=0))
        # The report shows the run's path as given.
        with chdir(work):
            predict(PredictConfig(images=[data / "test"], out=boxes, run=Path(run.name)))
    store = PredictionStore(boxes)
    # The ids are paths below the folder of the split.
    ground_truth = {
        name.split("/", 1)[1]: one for name, one in ground_truth_of(open_data(data)["test"]).items()
    }
    return write_report(store, store.info, work / "report", ground_truth=ground_truth).page


def save(window: Page, path: Path) -> None:
    """Take a screenshot when the page is drawn, and save it as a small JPEG."""
    window.wait_for_function(READY)
    window.wait_for_timeout(400)
    shot = path.with_suffix(".png")
    window.screenshot(path=shot)
    Image.open(shot).convert("RGB").save(path, quality=78, optimize=True, progressive=True)
    shot.unlink()
    sys.stdout.write(f"wrote {path}: {path.stat().st_size // 1000} KB\n")


if __name__ == "__main__":
    main()
