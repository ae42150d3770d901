"""The networks of the re-evaluation give its numbers: logits, score maps, losses, gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import TOLERANCE, Recorded, deviation, load, without_dropout

from wsol.methods import method_config
from wsol.models import Network, create_network

NAMES = ("vgg16", "resnet50", "inception_v3")

GRADIENT = 5e-2
"""Of the first convolution's gradient: so much changes where a ReLU whose input is within rounding
of zero opens or closes. The published code itself, run again, is up to 3.2e-2 from its own record,
with oneDNN, without it and in float64; this one is 2.3e-6 from the published code run beside it
(docs/results.md)."""

SPG_INCEPTION_LOSS = {False: 4.068669559, True: 3.993319029}
"""Loss of InceptionV3 with SPG by the published code with dropout off, in float64, by large feature
map. The recorded ones, 4.384591 and 4.068996, are not what it computes: its dropout is a call of a
function there and not a module, so it must have been on."""


def options(recorded: Recorded, method: str, case: str) -> dict[str, Any]:
    """Return the method's options of a recording."""
    if method == "adl":
        threshold = recorded.spec["adl_drop_threshold"]
        return {"drop_rate": float(case == "train_drop"), "threshold": threshold}
    if method == "acol":
        return {"threshold": recorded.spec["acol_drop_threshold"]}
    if method == "spg":
        pairs = enumerate(recorded.spec["spg_thresholds"], 1)
        return {
            key: value
            for number, (high, low) in pairs
            for key, value in ((f"high{number}", high), (f"low{number}", low))
        }
    return {}


def network_of(recorded: Recorded, name: str, method: str, case: str, large: bool) -> Network:
    """Return the network with the recorded weights."""
    key = f"{method}/large_feature_map_{str(large).lower()}"
    network = create_network(
        f"wsolevaluation/{name}",
        num_classes=recorded.spec["num_classes"],
        method=method,
        large_feature_map=large,
        **options(recorded, method, case),
    )
    shapes = recorded.spec["models"][key]["state_dict"]
    network.load_published(recorded.weights(shapes, "torch"))
    return network


@pytest.mark.parametrize("method", ["cam", "adl", "acol", "spg"])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_score_maps(parity: Path, name: str, method: str, large: bool) -> None:
    """In evaluation."""
    recorded = load(parity, f"wsolevaluation_{name}")
    network = network_of(recorded, name, method, "eval", large).eval()
    images, labels = recorded.images(), recorded.labels()
    with torch.inference_mode():
        output = network(images, labels)
        maps = network.head.output_maps(output, labels)
    prefix = f"{method}/large_feature_map_{str(large).lower()}/eval"
    assert deviation(output.logits, recorded.numbers[f"{prefix}/logits"]) <= TOLERANCE
    assert deviation(maps, recorded.numbers[f"{prefix}/cams"]) <= TOLERANCE


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("method", "case"),
    [("adl", "train_importance"), ("adl", "train_drop"), ("acol", "train"), ("spg", "train")],
)
@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients(parity: Path, name: str, method: str, case: str, large: bool) -> None:
    """In training with batch statistics, with ADL's branches forced and dropout off."""
    recorded = load(parity, f"wsolevaluation_{name}")
    network = network_of(recorded, name, method, case, large).train()
    without_dropout(network)
    images, labels = recorded.images(), recorded.labels()
    output = network(images, labels)
    config = method_config(method)
    loss = config(**options(recorded, method, case)).create().loss(output, labels)
    loss.backward()
    if (name, method) == ("inception_v3", "spg"):
        assert deviation(loss, SPG_INCEPTION_LOSS[large]) <= TOLERANCE
        return
    prefix = f"{method}/large_feature_map_{str(large).lower()}/{case}"
    found = {"loss": loss}
    if method == "adl":
        found["logits"] = output.logits
    elif method == "acol":
        found["logit_b"] = output.branches[1]
    for key, value in found.items():
        assert deviation(value, recorded.numbers[f"{prefix}/{key}"]) <= TOLERANCE, key
    gradient = next(network.parameters()).grad
    assert gradient is not None
    assert deviation(gradient, recorded.numbers[f"{prefix}/first_conv_grad"]) <= GRADIENT
