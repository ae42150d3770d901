"""Names that exports use as paths."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from wsol.app.storage import free_name

CHUNKS = st.one_of(
    st.text(max_size=300),
    st.sampled_from(["a", "A", "a.png", "2", "..", ".", "", "C:", "x" * 300 + ".png", "\ud800"]),
)
NAMES = st.lists(CHUNKS, min_size=1, max_size=6).flatmap(
    lambda parts: st.sampled_from(["/".join(parts), "\\".join(parts), "/" + "/".join(parts)])
)


@given(st.lists(NAMES, max_size=12))
@example(["a", "a/b.png", "a/b.png/c", "A"])
@example(["2/a", "a", "a", "2"])
def test_all_names_can_be_files_of_one_folder(names: list[str]) -> None:
    """Whatever was sent: each is another file, below the folder, in any order."""
    taken: list[str] = []
    for name in names:
        taken.append(free_name(name, taken))
    assert len({each.casefold() for each in taken}) == len(taken)
    with TemporaryDirectory() as folder:
        for each in taken:
            file = Path(folder, each)
            assert ".." not in file.parts
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(exist_ok=False)
            assert file.resolve().is_relative_to(Path(folder).resolve())


def test_sound_names_stay_as_they_are() -> None:
    """Spaces, other scripts and folders too; a second file goes into a folder of its own."""
    for name in ("a b.png", "日本/1.png", "=cmd|x.jpg", "100%.png"):
        assert free_name(name, []) == name
        assert free_name(name, [name]) == f"2/{name}"
