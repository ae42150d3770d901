"""The layer computes what the authors' tensorpack code does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wsol.methods.adl import ADL

DROP_RATES = {"drop": 1.0, "importance": 0.0}


@pytest.fixture(scope="session")
def recorded(parity: Path) -> dict[str, NDArray[np.float32]]:
    """Return inputs, outputs and gradients of the authors' layer."""
    with np.load(parity / "tensorpack_adl_layer.npz") as file:
        return dict(file)


@pytest.mark.parametrize("inputs", ["relu", "raw"])
@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("branch", DROP_RATES)
def test_output_and_gradient(
    recorded: dict[str, NDArray[np.float32]], inputs: str, threshold: float, branch: str
) -> None:
    """Output, and gradient of the sum of its squares, within 1e-6 of the largest magnitude."""
    case = f"{inputs}/threshold_{threshold}/{branch}"
    features = torch.from_numpy(recorded[f"input_{inputs}"]).requires_grad_()
    output = ADL(DROP_RATES[branch], threshold).train()(features)
    (output**2).sum().backward()
    assert features.grad is not None
    found = {"output": output.detach(), "input_grad_of_sum_of_squares": features.grad}
    for name, value in found.items():
        expected = recorded[f"{case}/{name}"]
        assert np.abs(value.numpy() - expected).max() <= 1e-6 * np.abs(expected).max()
