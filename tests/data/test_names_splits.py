"""Which names mean a split, and what the option may say."""

import pytest

from wsol.data.names import read_split_folders, split_of
from wsol.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("train", "train"), ("Training", "train"), ("train_images", "train"), ("imgs", None)),
        *(("valid", "val"), ("VALIDATION", "val"), ("val-2017", "val"), ("valley", None)),
        *(("test", "test"), ("Test Set", "test"), ("testing", "test"), ("contest", None)),
        *(
            ("train station", None),
            ("train_test", None),
            ("crow", None),
            ("", None),
            ("訓練", None),
        ),
    ],
)
def test_names_of_splits(name: str, split: str | None) -> None:
    """A single word of a few, beside words that say nothing."""
    assert split_of(name) == split


def test_the_option() -> None:
    """Nothing and auto leave it to the names; a text is read as a list with commas is."""
    assert read_split_folders(()) is None
    assert read_split_folders(("auto",)) is None
    assert read_split_folders("none") == {}
    assert read_split_folders("train=a,val=b") == {"a": "train", "b": "val"}
    assert read_split_folders(["train=a=b"]) == {"a=b": "train"}


@pytest.mark.parametrize("given", ["yes", "train", "train=", "dev=a", "none,auto", "test=a,val=a"])
def test_what_it_cannot_say(given: str) -> None:
    """One line names the option."""
    with pytest.raises(ConfigError, match="split_folders"):
        read_split_folders(given)
