"""Images are found by their id or the end of it."""

from wsol.data.names import index_by_end


def test_an_end_of_several_ids_is_none_of_them() -> None:
    """A third id with the same end does not make it clear again."""
    index_of = index_by_end(["a/x/1.jpg", "b/x/1.jpg", "c/1.jpg"])
    assert index_of["1.jpg"] is None
    assert index_of["x/1.jpg"] is None
    assert index_of["a/x/1.jpg"] == 0
    assert "/1.jpg" not in index_of


def test_an_id_means_itself() -> None:
    """Whatever else ends in it, before or after."""
    assert index_by_end(["a/1.jpg", "1.jpg", "b/1.jpg"])["1.jpg"] == 1
