"""Cost of the Attention-based Dropout Layer compared with a composition of torch operations.

    python benchmarks/adl_layer.py
    OMP_NUM_THREADS=1 python benchmarks/adl_layer.py

Both run forward and backward on features (32, 512, 28, 28), float32, in channels-last and in the
default layout, with the published drop rate of 75 %: three of four steps drop, one weights. The
composition is that of the published PyTorch re-implementation: the mean over channels, both the
drop mask and the importance map, one of them selected arithmetically by the draw, and one product.
The layers alternate in changing order, so a busy machine slows both equally. Prints the times, the
ratios, and the memory that each branch saves for the backward pass.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from wsol.methods.adl.layer import attention_dropout

SHAPE = (32, 512, 28, 28)
THRESHOLD = 0.9
DROP_RATE = 0.75
LAYOUTS = {"channels-last": torch.channels_last, "default": torch.contiguous_format}

Layer = Callable[[Tensor, bool], Tensor]


def composed(features: Tensor, drop: bool) -> Tensor:
    """Return the layer's output by composition, with both branches computed."""
    attention = features.mean(dim=1, keepdim=True)
    strongest = attention.view(len(features), -1).max(dim=1, keepdim=True).values
    mask = (attention < (strongest * THRESHOLD).view(-1, 1, 1, 1)).float()
    chosen = torch.tensor(float(drop))
    return features.mul((1 - chosen) * attention.sigmoid() + chosen * mask)


def layer(features: Tensor, drop: bool) -> Tensor:
    """Return the layer's output with the given branch."""
    return attention_dropout(features, float(drop), THRESHOLD)


def seconds(step: Layer, features: Tensor, grad: Tensor, drop: bool) -> float:
    """Return the duration of one step, forward and backward."""
    # In a network the features are the result of an operation, and gradients flow further back.
    inputs = features.requires_grad_()
    begin = time.perf_counter()
    torch.autograd.grad(step(inputs, drop), inputs, grad)
    return time.perf_counter() - begin


def saved_bytes(step: Layer, features: Tensor, drop: bool) -> tuple[int, int]:
    """Return the bytes that one step keeps for its backward pass: features, and everything else."""
    seen: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        seen[tensor.data_ptr()] = tensor
        return tensor

    inputs = features.requires_grad_()
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        step(inputs, drop)
    whole = seen.pop(features.data_ptr(), None)
    rest = sum(tensor.nelement() * tensor.element_size() for tensor in seen.values())
    return (0 if whole is None else whole.nelement() * whole.element_size()), rest


def compare(name: str, features: Tensor, repeats: int) -> None:
    """Print the times of both layers by branch, and their ratio at the published drop rate."""
    grad = torch.randn_like(features)
    steps = {"composed": composed, "wsol": layer}
    means = dict.fromkeys(steps, 0.0)
    for drop in (True, False):
        mine = attention_dropout(features, float(drop), THRESHOLD)
        torch.testing.assert_close(mine, composed(features, drop), rtol=1e-6, atol=1e-6)
        times: dict[str, list[float]] = {key: [] for key in steps}
        for repeat in range(-2, repeats):  # The first two warm up.
            for key in sorted(steps, reverse=repeat % 2 == 0):
                taken = seconds(steps[key], features, grad, drop)
                if repeat >= 0:
                    times[key].append(taken)
        medians = {key: statistics.median(values) for key, values in times.items()}
        for key, median in medians.items():
            means[key] += median * (DROP_RATE if drop else 1 - DROP_RATE)
        branch = "drop mask" if drop else "importance map"
        print(f"{name}, {branch}: {describe(medians)}", flush=True)
    print(f"{name}, {DROP_RATE:.0%} drop mask: {describe(means)}", flush=True)


def describe(times: dict[str, float]) -> str:
    """Return both times in milliseconds, and how many times faster the layer is."""
    composed_ms, layer_ms = 1e3 * times["composed"], 1e3 * times["wsol"]
    return f"composed {composed_ms:.1f} ms, wsol {layer_ms:.1f} ms, {composed_ms / layer_ms:.2f}x"


def main() -> None:
    """Time both layers in both layouts, and print the memory they save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="repetitions per step (median)")
    repeats = parser.parse_args().repeats
    torch.manual_seed(0)
    features = torch.randn(SHAPE).relu()
    print(f"{torch.get_num_threads()} threads, features {SHAPE}, forward and backward")
    for name, layout in LAYOUTS.items():
        compare(name, features.contiguous(memory_format=layout), repeats)
    print("saved for the backward pass, bytes of features + other bytes:")
    for drop, branch in ((True, "drop mask"), (False, "importance map")):
        for key, step in (("composed", composed), ("wsol", layer)):
            whole, rest = saved_bytes(step, features.detach(), drop)
            print(f"  {branch}, {key}: {whole:,} + {rest:,}")


if __name__ == "__main__":
    main()
