"""Recorded numbers of the published networks, and weights and inputs redrawn for them."""

import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

TOLERANCE = 1e-4
"""Of the largest magnitude: the README of the vectors."""


_DRAWN: dict[str, dict[tuple[str, tuple[int, ...]], Any]] = {}


class Recorded(NamedTuple):
    """One file of numbers and what it was recorded with."""

    spec: dict[str, Any]
    numbers: dict[str, Any]
    recipe: ModuleType

    def weights(self, variables: Iterable[tuple[str, list[int]]], layout: str) -> dict[str, Any]:
        """Return the weights of variables; those of the last file are kept, as drawing is slow."""
        if self.recipe.__name__ not in _DRAWN:
            _DRAWN.clear()
        drawn = _DRAWN.setdefault(self.recipe.__name__, {})
        keys = [(name, tuple(shape)) for name, shape in variables]
        for name, shape in keys:
            if (name, shape) not in drawn:
                drawn[name, shape] = self.recipe.draw_weights([(name, shape)], 0, layout)[name]
        return {name: drawn[name, shape] for name, shape in keys}

    def images(self) -> Tensor:
        """Return the input."""
        return torch.from_numpy(self.recipe.draw_input(self.spec["input_shape"], 0))

    def labels(self) -> Tensor:
        """Return the labels."""
        count, classes = self.spec["input_shape"][0], self.spec["num_classes"]
        return torch.from_numpy(self.recipe.draw_labels(count, classes, 0))


def load(parity: Path, name: str) -> Recorded:
    """Return a network's recorded numbers."""
    found = importlib.util.spec_from_file_location(f"recipe of {name}", parity / "recipe.py")
    assert found is not None
    assert found.loader is not None
    recipe = importlib.util.module_from_spec(found)
    found.loader.exec_module(recipe)
    with np.load(parity / f"{name}.npz") as file:
        numbers = dict(file)
    return Recorded(json.loads((parity / f"{name}.json").read_text()), numbers, recipe)


def deviation(found: Tensor, expected: ArrayLike) -> float:
    """Return the largest deviation as a share of the largest magnitude."""
    wanted = torch.as_tensor(np.asarray(expected))
    return float((found.detach() - wanted).abs().max() / wanted.abs().max())


def without_dropout(network: nn.Module) -> None:
    """Take dropout away, as the recording did."""
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
