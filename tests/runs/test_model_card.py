"""The card of a run says what it is, whatever its classes are called."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from wsol.runs.model_card import MOST_CLASSES, model_card
from wsol.runs.run import RunInfo

INFO = RunInfo(
    backbone="test_resnet",
    output_stride=16,
    classes=("crow", "wren"),
    image_size=64,
    localizer="cam",
    threshold=0.125,
    threshold_from="val",
    data="/home/me/birds",
    boxes="/home/me/boxes.csv",
    val_fraction=0.1,
    seed=3,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "![a](http://evil.test/a.png)",
    "| a | b |",
    "---",
    "# head",
    "`code`",
    "**bold** _and_ ~~that~~",
    "http://evil.test/ www.evil.test",
    "&lt;b&gt;",
    "a\\",
    "日本 100 %",
    "- item",
    "1. one",
    "$x$ :smile: @name #1",
    "{{ jinja }} {% x %}",
    "]]> --> */",
)


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Keep the tag's name."""
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


def shown(card: str) -> Page:
    """Return a card as a page, with tables and whatever HTML is in it."""
    text = card.split("---\n", 2)[2]
    return Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


@pytest.mark.parametrize("place", ["classes", "data", "layers", "method"])
def test_names_are_shown_as_they_are_and_do_nothing(place: str) -> None:
    """Rendered with HTML allowed, a hostile name is its own text, and no tag comes of it."""
    harmless = shown(model_card("me/birds", INFO, {"gt_known": 50.0})).tags
    for name in HOSTILE:
        values = {
            "classes": (name, "wren"),
            "data": f"/home/me/{name.replace('/', '')}",
            "layers": (name,),
            "method": {"name": "adl", "layers": [name]},
        }
        card = model_card("me/birds", replace(INFO, **{place: values[place]}), {"gt_known": 50.0})
        page = shown(card)
        assert page.tags == harmless
        if place in ("classes", "layers"):
            assert name in page.text
        assert isinstance(yaml.safe_load(card.split("---\n")[1]), dict)


def test_lines_are_not_broken_by_names() -> None:
    """A line break in a name is written as the exports do."""
    page = shown(model_card("me/birds", replace(INFO, classes=("a\n\n# b", "c")), {}))
    assert "a%0A%0A# b, c" in page.text


def test_figures_are_the_hubs_model_index() -> None:
    """The Hub's own reader finds the figures, and what is no number is left out."""
    figures = {"gt_known": 61.5, "top1_cls": 70, "max_box_acc_v2": None, "box_ap": float("nan")}
    data = ModelCard(model_card("me/birds", INFO, figures | {"threshold": 0.2})).data
    found = {each.metric_name: each.metric_value for each in data.eval_results}
    assert found == {"GT-known Loc": 61.5, "Top-1 classification": 70.0}
    assert {each.dataset_name for each in data.eval_results} == {"birds"}
    assert data.pipeline_tag == "object-detection"
    assert {"test_resnet", "none"} <= set(data.tags)
    assert ModelCard(model_card("me/birds", INFO, {})).data.eval_results is None


def test_this_machine_is_not_told() -> None:
    """No folder but the name of the last one."""
    assert "/home" not in model_card("me/birds", INFO, {"gt_known": 61.5})


def test_many_classes_are_counted() -> None:
    """A card lists the first of them and says how many more there are."""
    classes = tuple(f"class{number}" for number in range(MOST_CLASSES + 800))
    text = shown(model_card("me/birds", replace(INFO, classes=classes), {})).text
    assert f"Classes ({len(classes):,})" in text
    assert "class199 and 800 more in model.json" in text
