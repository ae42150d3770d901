"""The layer equals its plain composition, and costs no more than it promises."""

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._dynamo import lookup_backend
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from wsol.errors import ConfigError
from wsol.methods.adl import ADL, Config
from wsol.methods.adl.layer import attention_dropout, attention_map, drop_mask, importance_map

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))


class Operations(TorchDispatchMode):
    """Counts the operations that torch runs, by name, and notes the numbers each one returns."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.names: Counter[str] = Counter()
        self.written: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one operation and run it."""
        result = func(*args, **(kwargs or {}))
        self.names[func.overloadpacket.__name__] += 1
        if isinstance(result, Tensor):
            self.written.append((func.overloadpacket.__name__, result.nelement()))
        return result


def plain_composition(features: Tensor, drop: bool, threshold: float) -> Tensor:
    """Return what the layer computes, with float masks and nothing clever."""
    attention = features.mean(dim=1, keepdim=True)
    strongest = attention.view(len(features), -1).max(dim=1).values.view(-1, 1, 1, 1)
    mask = (attention < strongest * threshold).float()
    return features * (mask if drop else torch.sigmoid(attention))


def draw_features(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return rectified features, some of them zero."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).relu()


@settings(deadline=None)
@given(SHAPES, st.integers(0, 2**31), st.booleans(), st.floats(0, 1))
def test_values_and_gradients_are_those_of_the_plain_composition(
    shape: tuple[int, ...], seed: int, drop: bool, threshold: float
) -> None:
    """Output and gradient agree with float masks under autograd, for any shape and threshold."""
    mine, plain = (draw_features(shape, seed).requires_grad_() for _ in range(2))
    output = attention_dropout(mine, float(drop), threshold)
    expected = plain_composition(plain, drop, threshold)
    torch.testing.assert_close(output, expected, rtol=1e-6, atol=1e-7)
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1))
    (output * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, plain.grad, rtol=1e-6, atol=1e-7)


def test_mask_is_strict_and_each_image_has_its_own_maximum() -> None:
    """A pixel at exactly the threshold is dropped; a strong image does not hide in a weak one."""
    features = torch.tensor([[[[8.0, 7.9, 10.0]]], [[[0.8, 0.79, 1.0]]]])
    assert drop_mask(features, 0.8).flatten(1).tolist() == [[False, True, False]] * 2


def test_nothing_is_rescaled() -> None:
    """What the drop mask keeps stays exactly as it was, whatever share it drops."""
    features = draw_features((3, 8, 6, 6), 0) + 0.1
    output = attention_dropout(features, 1.0, 0.9)
    kept = drop_mask(features, 0.9).expand_as(features)
    assert 0 < kept.float().mean() < 1
    assert torch.equal(output[kept], features[kept])
    assert not output[~kept].any()


def test_importance_is_at_least_a_half_on_rectified_features() -> None:
    """The raw map goes through the sigmoid, so rectified features never lose more than half."""
    features = draw_features((2, 8, 6, 6), 0)
    found = importance_map(features)
    assert found.shape == (2, 1, 6, 6)
    assert 0.5 <= found.min() < found.max() < 1


@pytest.mark.parametrize("options", [{}, {"drop_rate": 1.0}, {"threshold": 0.0}])
def test_evaluation_is_the_identity(options: dict[str, float]) -> None:
    """In evaluation mode the very tensor comes back, and no random number is drawn."""
    features, state = torch.randn(2, 3, 4, 4), torch.get_rng_state()
    assert ADL(**options).eval()(features) is features
    assert torch.equal(torch.get_rng_state(), state)


def test_only_the_chosen_branch_is_computed() -> None:
    """No sigmoid where pixels are dropped, no maximum or comparison where they are weighted."""
    features = draw_features((2, 3, 4, 4), 0)
    used = {}
    for drop_rate in (0.0, 1.0):
        with Operations() as operations:
            attention_dropout(features, drop_rate, 0.8)
        used[drop_rate] = set(operations.names)
    assert "sigmoid" in used[0.0]
    assert not {"amax", "max", "lt"} & used[0.0]
    assert {"amax", "lt"} <= used[1.0]
    assert "sigmoid" not in used[1.0]


def test_drop_branch_saves_its_mask_alone() -> None:
    """For the backward pass one byte per pixel is kept, and no copy of the features."""
    features = draw_features((4, 16, 7, 9), 0).requires_grad_() * 1
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        attention_dropout(features, 1.0, 0.8)
    assert [tensor.dtype for tensor in saved] == [torch.bool]
    assert sum(tensor.nelement() * tensor.element_size() for tensor in saved) == 4 * 7 * 9


def test_the_gradient_of_the_mean_is_not_written_out() -> None:
    """The mean's share of the gradient stays one number per pixel until it is added."""
    features = draw_features((4, 16, 7, 9), 0).requires_grad_()
    with Operations() as operations:
        attention_dropout(features, 0.0, 0.8).backward(torch.ones_like(features))
    made = Counter(name for name, size in operations.written if size == features.nelement())
    assert made["mul"] == 3
    assert made["add"] == 1
    assert made["div"] == 0


def test_attention_of_low_precision_does_not_overflow() -> None:
    """A sum over channels above the largest float16 still has a finite mean."""
    features = torch.full((1, 512, 1, 2), 1000.0, dtype=torch.float16)
    assert attention_map(features).tolist() == [[[[1000.0, 1000.0]]]]
    assert torch.equal(attention_dropout(features, 0.0, 0.8), features)


def test_drop_mask_carries_no_gradient() -> None:
    """The gradient of the kept pixels is one, that of the dropped ones zero."""
    features = draw_features((2, 5, 4, 4), 3).requires_grad_()
    attention_dropout(features, 1.0, 0.6).sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad, drop_mask(features, 0.6).float().expand_as(features))


@pytest.mark.parametrize("drop_rate", [0.0, 0.25, 0.75, 1.0])
def test_drop_rate_is_the_share_of_dropping_steps(drop_rate: float) -> None:
    """Over many seeded steps the drop mask comes as often as asked for; 0 and 1 mean never, always.

    The bound is four standard deviations of the count.
    """
    layer, steps = ADL(drop_rate, 0.9), 2000
    features = torch.tensor([[[[1.0, 10.0]]]])
    torch.manual_seed(0)
    drops = sum(float(layer(features)[0, 0, 0, 1]) == 0 for _ in range(steps))
    assert abs(drops - drop_rate * steps) <= 4 * (steps * drop_rate * (1 - drop_rate)) ** 0.5


def test_one_draw_decides_for_the_whole_batch() -> None:
    """Every image of a batch gets the same branch, by one random number."""
    features = draw_features((32, 4, 5, 5), 0)
    branches = [plain_composition(features, drop, 0.8) for drop in (True, False)]
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        output = attention_dropout(features, 0.5, 0.8)
        state = torch.get_rng_state()
        seen.add(tuple(torch.allclose(output, branch) for branch in branches))
        torch.manual_seed(seed)
        torch.rand(())
        assert torch.equal(torch.get_rng_state(), state)
    assert seen == {(True, False), (False, True)}


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "aot_eager_decomp_partition"])
def test_a_compiled_network_draws_the_same_branches(backend: str) -> None:
    """One graph for both branches, with two layers: outputs, gradients and torch's generator."""
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), ADL(0.5, 0.6), nn.Conv2d(6, 6, 3), nn.ReLU(), ADL(0.5, 0.6)
    )
    torch.compiler.reset()
    graphs = []

    def count(exported: Any, inputs: Any) -> Any:
        graphs.append(exported)
        return lookup_backend(backend)(exported, inputs)

    compiled = torch.compile(plain, backend=count, fullgraph=True)
    images, seen = torch.randn(2, 3, 8, 8), set()
    for seed in range(30):
        results = []
        for model in (plain, compiled):
            torch.manual_seed(seed)
            plain.zero_grad()
            output = model(images)
            output.square().sum().backward()
            results.append(
                (output.detach(), *(w.grad for w in plain.parameters()), torch.get_rng_state())
            )
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b)
        torch.manual_seed(seed)
        seen.add((float(torch.rand(())) < 0.5, float(torch.rand(())) < 0.5))
    assert len(graphs) == 1
    assert len(seen) == 4


@pytest.mark.parametrize("drop_rate", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_precision_and_memory_format_stay(dtype: torch.dtype, drop_rate: float) -> None:
    """The output has the type and the memory order of the input."""
    features = draw_features((2, 8, 4, 4), 0).to(dtype, memory_format=torch.channels_last)
    output = attention_dropout(features, drop_rate, 0.8)
    assert output.dtype == dtype
    assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("option", ["drop_rate", "threshold"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_options_outside_0_to_1_are_refused(option: str, value: float) -> None:
    """A share that is none is refused by name."""
    with pytest.raises(ConfigError, match=rf"method\.{option}: {value}"):
        Config(**{option: value})
