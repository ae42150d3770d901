"""A compiled training computes the same, and leaves no trace in what is saved."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo import lookup_backend

from wsol.errors import ConfigError
from wsol.methods.adl import Config as ADLConfig
from wsol.runs.run import load_run
from wsol.training import optim as module
from wsol.training.checkpoint import checkpoints
from wsol.training.config import TrainConfig
from wsol.training.optim import check_compiler
from wsol.training.trainer import train


# torch's own, of parts of it that it calls itself.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_compiler_of_this_machine_is_tried() -> None:
    """It works, or the reason is the one line."""
    if shutil.which("g++") is None:
        with pytest.raises(ConfigError, match="compile: "):
            check_compiler(torch.device("cpu"))
    else:
        check_compiler(torch.device("cpu"))


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_training_is_the_same(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ADL's branches inside one graph; what began compiled goes on without."""
    graphs = []

    def count(exported: Any, inputs: Any) -> Any:
        graphs.append(exported)
        # All of it but the C++ compiler, which would take a minute.
        return lookup_backend("aot_eager")(exported, inputs)

    monkeypatch.setattr(module.torch, "compile", partial(torch.compile, backend=count))
    config = replace(
        tiny, backbone="test_resnet", method=ADLConfig(layers=("layer4",)), image_size=32
    )
    config = replace(config, resize=36, epochs=1, save_every=1)
    plain = train(replace(config, out=tmp_path / "plain"))
    out = train(replace(config, out=tmp_path / "run", compile=True))
    # That of the addition which tries the compiler is the other.
    assert len(graphs) == 2
    weights, expected = (load_run(run)[0].state_dict() for run in (out, plain))
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5)
    last, before = checkpoints(out / "checkpoints")[::-1]
    assert torch.load(before, weights_only=True)["network"].keys() == expected.keys()
    last.unlink()
    train(replace(config, out=out, resume=True))
    rows = [json.loads((run / "metrics.jsonl").read_text().splitlines()[0]) for run in (plain, out)]
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-3)


def test_no_compiler_is_one_line(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read or written, whatever torch raises."""

    def fail(function: object) -> object:
        raise RuntimeError("No working C++ compiler found\nin many lines")

    monkeypatch.setattr(module.torch, "compile", fail)
    config = replace(tiny, data=tmp_path / "missing", out=tmp_path / "run", compile=True)
    with pytest.raises(ConfigError, match=r"\(No working C\+\+ compiler found\); install"):
        train(config)
    assert not (tmp_path / "run").exists()
