"""Classes by their names, also where two have one name or a name has commas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.errors import ConfigError
from wsol.models.create import imagenet_classes
from wsol.types import class_index, class_indices, unique_names, without_index

IMAGENET = unique_names(imagenet_classes())
NAMES = st.lists(st.text("ab#0,", min_size=1, max_size=3), min_size=1, max_size=6)


@given(NAMES)
def test_unique_names_are_unique(names: list[str]) -> None:
    """They stay where they are, and the index is all that is added."""
    unique = unique_names(names)
    assert len(set(unique)) == len(unique) == len(names)
    for before, after in zip(names, unique, strict=True):
        assert after.startswith(before)


@given(NAMES)
def test_every_unique_name_is_its_own_class(names: list[str]) -> None:
    """Commas, signs and digits in names included."""
    unique = unique_names(names)
    assert [class_index(name, unique) for name in unique] == list(range(len(unique)))


@pytest.mark.parametrize("index", [0, 134, 146, 517, 638, 639])
def test_all_names_of_imagenet_can_be_given(index: int) -> None:
    """By the name as it is shown, and by the index."""
    for label in (IMAGENET[index], str(index)):
        assert class_indices([label], IMAGENET) == [index]


def test_several_names_in_one_text() -> None:
    """The longest name counts, blanks around names do not, and no class comes twice."""
    text = "albatross, mollymawk,crane#517 , 146,maillot, tank suit,maillot"
    assert class_indices([text], IMAGENET) == [146, 517, 639, 638]


def test_a_name_of_two_classes_is_refused_with_both() -> None:
    """The bird is not taken for the machine."""
    with pytest.raises(ConfigError, match=r"'crane'.*crane#134, crane#517"):
        class_index("crane", IMAGENET)
    assert without_index("crane#517") == "crane"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("albatross", "'albatross, mollymawk'"),
        ("mollymawk", "'albatross, mollymawk'"),
        ("zebr", "'zebra'"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, nearest: str) -> None:
    """It can be given as it is shown."""
    with pytest.raises(ConfigError) as caught:
        class_indices([name], IMAGENET)
    assert nearest in str(caught.value)
    assert class_indices([nearest.strip("'")], IMAGENET)


@pytest.mark.parametrize("name", ["zzzzqq", pytest.param("q" * 30_000, id="long"), "1000", "-1"])
def test_the_line_is_short_however_many_classes_there_are(name: str) -> None:
    """A few of them are named, and how many there are besides."""
    with pytest.raises(ConfigError) as caught:
        class_index(name, IMAGENET)
    assert len(str(caught.value)) < 1000
