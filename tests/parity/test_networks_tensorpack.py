"""The networks of the ADL paper's own code give its numbers, in evaluation and in training."""

from pathlib import Path

import pytest
import torch
from recorded import TOLERANCE, deviation, load

from wsol.models import create_network

CASES = ("eval", "train_cam", "train_adl_importance", "train_adl_drop")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["resnet50_se", "vgg_gap"])
def test_logits_and_features(parity: Path, name: str, case: str) -> None:
    """Batch statistics, padding, both of ADL's branches: within the README's tolerance."""
    recorded = load(parity, f"tensorpack_{name}")
    options = recorded.spec["cases"][case]
    adl = {"drop_rate": 1 - options["keep_prob"], "threshold": options["threshold"]}
    network = create_network(
        f"tensorpack/{name}",
        num_classes=recorded.spec["num_classes"],
        adl_positions=options["adl_positions"],
        **adl if options["adl_positions"] else {},
    )
    network.load_published(recorded.weights(recorded.spec["variables"], "tf"))
    with torch.no_grad():
        output = network.train(options["training"])(recorded.images())
    found = {
        "logits": output.logits,
        "features_mean": output.features.mean((2, 3)),
        "features_sample": output.features[:, ::64],
    }
    for key, value in found.items():
        assert deviation(value, recorded.numbers[f"{case}/{key}"]) <= TOLERANCE, key
