"""The order of a training is a function of its seed, wherever and however it runs."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wsol.data.loader import Key
from wsol.training.sampler import ResumableSampler, step_seed

ORDERS = st.builds(
    ResumableSampler,
    num_images=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 2**40),
)


RECORDED = [[1, 4, 2], [3, 6, 5], [4, 2, 0], [6, 5, 3]]


def all_keys(order: ResumableSampler) -> list[list[Key]]:
    """Return the keys of a whole training by one process."""
    return list(order.keys(0, order.total_steps, rank=0, world=1))


@given(ORDERS)
def test_each_epoch_sees_every_image_at_most_once(order: ResumableSampler) -> None:
    """An epoch's batches are full, hold no image twice, and leave less than one batch out."""
    batches = all_keys(order)
    assert len(batches) == order.epochs * order.steps_per_epoch
    for epoch in range(order.epochs):
        part = batches[epoch * order.steps_per_epoch :][: order.steps_per_epoch]
        assert {len(batch) for batch in part} == {order.images_per_step}
        seen = Counter(key.index for batch in part for key in batch)
        assert set(seen.values()) == {1}
        assert set(seen) <= set(range(order.num_images))
        assert order.num_images - len(seen) < order.images_per_step


@given(ORDERS, st.integers(1, 5))
def test_processes_share_each_batch_out(order: ResumableSampler, world: int) -> None:
    """At each step the shares of all processes together are one process's batch, in turn."""
    shares = [list(order.keys(0, order.total_steps, rank, world)) for rank in range(world)]
    for step, batch in enumerate(all_keys(order)):
        assert [batch[rank::world] for rank in range(world)] == [share[step] for share in shares]


@given(ORDERS, st.data())
def test_any_step_has_the_same_tail(order: ResumableSampler, data: st.DataObject) -> None:
    """Resumed at any step, the rest of the training is unchanged."""
    step = data.draw(st.integers(0, order.total_steps))
    again = ResumableSampler(order.num_images, order.batch_size, order.epochs, order.seed)
    assert list(again.keys(step, order.total_steps, 0, 1)) == all_keys(order)[step:]


def test_epochs_and_seeds_have_their_own_order() -> None:
    """Two epochs, or two seeds, do not see the images in the same order."""
    indices = {
        (seed, epoch): tuple(
            key.index
            for batch in ResumableSampler(50, 10, 2, seed).keys(5 * epoch, 5 * epoch + 5, 0, 1)
            for key in batch
        )
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(indices.values())) == 4
    assert {tuple(sorted(order)) for order in indices.values()} == {tuple(range(50))}


@given(ORDERS)
def test_each_image_has_its_own_transform_in_each_epoch(order: ResumableSampler) -> None:
    """Seeds of the images' transforms are never shared, within an epoch or between two."""
    seeds = [key.seed for batch in all_keys(order) for key in batch]
    assert len(set(seeds)) == len(seeds)
    other = ResumableSampler(order.num_images, order.batch_size, order.epochs, order.seed + 1)
    assert not set(seeds) & {key.seed for batch in all_keys(other) for key in batch}


def test_order_is_recorded() -> None:
    """The order of a seed is pinned: a new release of numpy must not change a resumed training."""
    batches = list(ResumableSampler(7, 3, 2, seed=5).keys(0, 4, 0, 1))
    assert [[key.index for key in batch] for batch in batches] == RECORDED
    assert batches[2][0].seed == (5, 1, RECORDED[2][0])


def test_step_seeds_differ_and_are_recorded() -> None:
    """Each seed, step and process draws its own numbers, within what torch takes as a seed."""
    seeds = {
        step_seed(seed, step, rank) for seed in range(5) for step in range(50) for rank in range(4)
    }
    assert len(seeds) == 5 * 50 * 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert step_seed(3, 2, 1) == 4404663168949438663
