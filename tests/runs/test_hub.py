"""Runs on the Hub: loaded and sent, over real HTTP to a stand-in on this machine."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard

from wsol.errors import ConfigError, RunError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.inference.localizer import Localizer
from wsol.models import create_network
from wsol.results.localization import Localization
from wsol.runs.config import PushConfig
from wsol.runs.hub import MOST_BYTES, hub_name, local_run
from wsol.runs.push import push
from wsol.runs.run import RunInfo, load_run, save_run
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

from .. import forked
from ..hub_stand_in import TOKEN, Hub, forget, go_to

NAME = "owner/birds"

# The client's way without Xet, which a stand-in can follow, uses what its own library deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a run that are on the Hub."""
    return {name: (folder / name).read_bytes() for name in MOST_BYTES if (folder / name).exists()}


def found_by(run: str | Path, toy: Path) -> list[dict[str, Any]]:
    """Return what a run finds in the test images."""
    locate = Localizer(run, device="cpu", precision="fp32")
    return [plain(result) for result in locate(sorted((toy / "test").rglob("*.jpg")))]


def plain(result: Localization) -> dict[str, Any]:
    """Return a result as values that can be compared."""
    values = asdict(result)
    return {name: getattr(value, "tolist", lambda v=value: v)() for name, value in values.items()}


def test_what_is_sent_comes_back(hub: Hub, tiny_run: Path, toy: Path) -> None:
    """A run that was sent and loaded finds the same boxes, scores and maps, bit for bit."""
    pushed = push(PushConfig(tiny_run, NAME))
    assert pushed.name == f"hf:{NAME}"
    assert pushed.url == f"{hub.url}/{NAME}"
    assert pushed.commit == hub.repositories[NAME].branches["main"]
    hub.options.clear()
    assert found_by(pushed.name, toy) == found_by(tiny_run, toy)
    assert hub.downloaded() == {"model.json", "model.safetensors"}
    assert hub.options[0] == f"GET /api/models/{NAME}/revision/main"


def test_the_fitted_state_of_a_localizer_is_pushed_too(
    hub: Hub, tiny: TrainConfig, toy: Path, tmp_path: Path
) -> None:
    """A run whose localizer has seen images needs none to see on another machine."""
    run = train(replace(tiny, out=tmp_path / "run", epochs=1, localizer="ddt"))
    push(PushConfig(run, NAME))
    assert found_by(f"hf:{NAME}", toy) == found_by(run, toy)
    assert "localizer.safetensors" in hub.downloaded()


def test_only_what_a_reader_needs_is_sent(hub: Hub, tiny_run: Path, toy: Path) -> None:
    """One commit has all of it; checkpoints, options and this machine's paths stay here."""
    assert any(tiny_run.glob("**/*.pt")) or (tiny_run / "config.yaml").exists()
    push(PushConfig(tiny_run, NAME))
    files = hub.repositories[NAME].commits[hub.repositories[NAME].branches["main"]]
    wanted = {".gitattributes", "README.md", "model.json", "model.safetensors"}
    assert wanted <= set(files) <= wanted | {"metrics.json", "localizer.safetensors"}
    assert len([line for line in hub.options if "/commit/" in line]) == 1
    assert not any(str(toy.parent).encode() in content for content in files.values())
    assert files["model.safetensors"] == (tiny_run / "model.safetensors").read_bytes()
    told = json.loads(files["model.json"])
    assert told["data"] == ""
    assert told["boxes"] is told["splits"] is told["labels"] is None


def test_a_branch_and_a_commit_can_be_named(hub: Hub, tiny_run: Path) -> None:
    """A branch is made when it is first sent to; the main one, and what is pinned, stay."""
    first = hub.add(NAME, {"README.md": b"by hand"})
    pushed = push(PushConfig(tiny_run, NAME, revision="trial"))
    assert pushed.name == f"hf:{NAME}@trial"
    assert hub.repositories[NAME].branches == {"main": first, "trial": pushed.commit}
    for revision in ("trial", pushed.commit):
        folder = local_run(Path(f"hf:{NAME}@{revision}"))
        assert files_of(folder)["model.safetensors"] == files_of(tiny_run)["model.safetensors"]
    with pytest.raises(RunError, match=r"hf:owner/birds@no: the repository has no such revision"):
        local_run(Path(f"hf:{NAME}@no"))
    with pytest.raises(RunError, match=r"the repository has no model\.json"):
        local_run(Path(f"hf:{NAME}"))


def test_a_pinned_commit_that_is_here_asks_nothing(hub: Hub, tiny_run: Path) -> None:
    """A commit never changes, so its copy needs no network."""
    commit = hub.add(NAME, files_of(tiny_run))
    run = Path(f"hf:{NAME}@{commit}")
    folder = local_run(run)
    forget()
    hub.options.clear()
    assert local_run(run) == folder
    assert hub.options == []


def test_one_process_sees_one_commit(hub: Hub, tiny_run: Path) -> None:
    """What is sent between two files of a run is seen by the next process alone."""
    hub.add(NAME, files_of(tiny_run))
    run = Path(f"hf:{NAME}")
    before = local_run(run)
    hub.add(NAME, files_of(tiny_run) | {"model.json": b"{}"})
    assert local_run(run) == before
    forget()
    assert local_run(run) != before


def test_without_a_network_the_copy_is_used(
    hub: Hub, tiny_run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Offline, unreachable or broken, the Hub is not needed for what is here already."""
    hub.add(NAME, files_of(tiny_run))
    run = Path(f"hf:{NAME}")
    folder = local_run(run)
    forget()
    hub.status = 500
    with caplog.at_level("WARNING", "wsol"):
        assert local_run(run) == folder
    assert "using the local copy" in caplog.text
    forget()
    go_to("http://127.0.0.1:9", monkeypatch)
    assert local_run(run) == folder


@pytest.mark.parametrize("status", [0, 500, 503])
def test_without_network_and_copy_one_line_says_what_to_do(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The line names the run, and what to do."""
    hub.status = status
    if not status:
        go_to("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(RunError) as caught:
        local_run(Path(f"hf:{NAME}"))
    assert str(caught.value).startswith(f"hf:{NAME}: cannot be downloaded (")
    assert "or use a run folder" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_private_run_needs_the_token(
    hub: Hub, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is not logged in learns no more than that there may be such a run."""
    push(PushConfig(tiny_run, NAME, private=True))
    assert hub.repositories[NAME].private
    local_run(Path(f"hf:{NAME}"))
    forget()
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(RunError, match="no such repository on the Hub, or a private one; log in"):
        local_run(Path(f"hf:{NAME}"))
    with pytest.raises(RunError, match=r"owner/new: cannot be sent \(.*\): log in with hf auth"):
        push(PushConfig(tiny_run, "owner/new"))


def test_a_private_run_is_not_sent_to_a_public_place(hub: Hub, tiny_run: Path) -> None:
    """Nothing is sent where more people would see it than was asked for."""
    commit = hub.add(NAME, {})
    with pytest.raises(ConfigError, match="repository is public"):
        push(PushConfig(tiny_run, NAME, private=True))
    assert hub.repositories[NAME].branches == {"main": commit}
    assert not any(line.startswith("PUT") for line in hub.options)


def test_nothing_of_another_run_is_left(hub: Hub, tiny_run: Path) -> None:
    """The fitted state of another run's localizer is removed; other files stay."""
    kept = {"notes.txt": b"mine", "README.md": b"by hand"}
    hub.add(NAME, kept | {"localizer.safetensors": b"old", "metrics.json": b"{}"})
    push(PushConfig(tiny_run, NAME))
    files = hub.repositories[NAME].commits[hub.repositories[NAME].branches["main"]]
    assert "localizer.safetensors" not in files
    assert files.items() >= kept.items()
    push(PushConfig(tiny_run, NAME, card=True))
    files = hub.repositories[NAME].commits[hub.repositories[NAME].branches["main"]]
    assert files["README.md"] != kept["README.md"]


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        """Keep where."""
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """Say what unpickling runs."""
        return Path.touch, (self.path,)


def test_a_strangers_programs_are_neither_loaded_nor_run(
    hub: Hub, tiny_run: Path, toy: Path, tmp_path: Path
) -> None:
    """Of a repository only the three files of a run are downloaded, and none is unpickled."""
    canary = tmp_path / "canary"
    bad = pickle.dumps(Canary(canary))
    others = {"model.pt": bad, "pytorch_model.bin": bad, "wsol.py": b"boom", "a/model.json": b"{}"}
    hub.add(NAME, files_of(tiny_run) | others)
    assert found_by(f"hf:{NAME}", toy) == found_by(tiny_run, toy)
    assert hub.downloaded() <= set(MOST_BYTES)
    hub.add("owner/bad", {"model.json": files_of(tiny_run)["model.json"], "model.safetensors": bad})
    with pytest.raises(RunError, match=r"model\.safetensors: the weights do not fit"):
        load_run(Path("hf:owner/bad"))
    assert not canary.exists()


@pytest.mark.parametrize("name", list(MOST_BYTES))
def test_what_is_too_large_is_not_downloaded(hub: Hub, tiny_run: Path, name: str) -> None:
    """The Hub says how large files are, before any of them is downloaded."""
    hub.add(NAME, files_of(tiny_run) | {"localizer.safetensors": b""})
    hub.sizes[name] = MOST_BYTES[name] + 1
    with pytest.raises(RunError, match=rf"{name} is [\d,]+ bytes; the maximum is"):
        local_run(Path(f"hf:{NAME}"))
    assert hub.downloaded() == set()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model.json": b"{"}, "not the info of a run"),
        ({"model.json": b'{"size": 1}'}, "not the info of a run"),
        ({"model.safetensors": b"nothing"}, "the weights do not fit"),
        ({"localizer.safetensors": b"nothing"}, r"localizer\.safetensors"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(
    hub: Hub, tiny_run: Path, change: dict[str, bytes], reason: str
) -> None:
    """The line names the file, which lies in the cache."""
    hub.add(NAME, files_of(tiny_run) | change)
    with pytest.raises(RunError, match=reason) as caught:
        Localizer(f"hf:{NAME}", device="cpu")
    assert "\n" not in str(caught.value)
    assert "owner--birds" in str(caught.value)


def test_a_size_for_which_there_is_no_memory_is_refused(hub: Hub, tiny_run: Path) -> None:
    """A stranger's description cannot ask for terabytes."""
    told = json.loads(files_of(tiny_run)["model.json"]) | {"image_size": 10**6}
    hub.add(NAME, files_of(tiny_run) | {"model.json": json.dumps(told).encode()})
    with pytest.raises(RunError, match="size is 1000000"):
        load_run(Path(f"hf:{NAME}"))


def test_a_download_that_breaks_off_leaves_no_run(hub: Hub, tiny_run: Path) -> None:
    """A file that is not as long as was said is no file, and the next try gets it."""
    hub.add(NAME, files_of(tiny_run))
    hub.sizes["model.safetensors"] = len(files_of(tiny_run)["model.safetensors"]) + 1
    with pytest.raises(RunError, match="cannot be downloaded"):
        local_run(Path(f"hf:{NAME}"))
    hub.sizes.clear()
    assert files_of(local_run(Path(f"hf:{NAME}"))) == files_of(tiny_run)


@pytest.mark.parametrize(
    "name", ["hf:", "hf:birds", "hf:a/b/c", "hf:a/b@", "hf:a/../b", "hf:a/b c", "hf:a/ü"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError, match="use hf:OWNER/NAME"):
        hub_name(Path(name))


@pytest.mark.parametrize("name", ["hf:a/-b", "hf:a/b..c", "hf:../b"])
def test_what_the_hub_takes_for_no_name_is_refused(hub: Hub, name: str) -> None:
    """The Hub's own rules are the client's, which asks nothing either."""
    with pytest.raises(RunError, match="not a name on the Hub"):
        local_run(Path(name))
    assert hub.options == []


def test_evaluation_and_training_take_a_name(
    hub: Hub, tiny: TrainConfig, tiny_run: Path, tmp_path: Path
) -> None:
    """Figures are those of the folder; a training starts with the weights of the Hub's run."""
    push(PushConfig(tiny_run, NAME))
    run = Path(f"hf:{NAME}")
    options = EvaluateConfig(tiny_run, num_workers=0, device="cpu", report=0)
    expected = evaluate(replace(options, out=tmp_path / "a.json")).metrics
    with pytest.raises(ConfigError, match="use --out"):
        evaluate(replace(options, run=run))
    out = tmp_path / "b.json"
    with pytest.raises(ConfigError, match="set --data"):
        evaluate(replace(options, run=run, out=out))
    assert evaluate(replace(options, run=run, out=out, data=tiny.data)).metrics == expected
    config = replace(tiny, out=tmp_path / "next", epochs=1, lr=1e-9, backbone_lr=0.0)
    found = load_run(train(replace(config, init_from=run)))[0].body.state_dict()
    for name, value in load_run(tiny_run)[0].body.state_dict().items():
        if value.is_floating_point() and "running" not in name:
            assert torch.equal(found[name], value)


def test_the_card_is_read_by_the_hubs_own_reader(
    hub: Hub, tiny: TrainConfig, tmp_path: Path
) -> None:
    """Front matter and figures come back from huggingface_hub as they were measured."""
    run = train(replace(tiny, out=tmp_path / "run", epochs=1))
    metrics = evaluate(EvaluateConfig(run, num_workers=0, device="cpu", report=0)).metrics
    push(PushConfig(run, NAME, license="apache-2.0", dataset="owner/toys"))
    files = hub.repositories[NAME].commits[hub.repositories[NAME].branches["main"]]
    data = ModelCard(files["README.md"].decode()).data
    assert (data.license, data.library_name, data.datasets) == (
        "apache-2.0",
        "wsol",
        ["owner/toys"],
    )
    found = {(each.task_type, each.metric_name): each.metric_value for each in data.eval_results}
    assert found["object-detection", "MaxBoxAccV2"] == pytest.approx(
        metrics["max_box_acc_v2"], abs=0.01
    )
    assert found["image-classification", "Top-1 classification"] == pytest.approx(
        metrics["top1_cls"], abs=0.01
    )
    assert {each.dataset_type for each in data.eval_results} == {"owner/toys"}


def test_a_network_of_a_strangers_choice_is_not_downloaded(hub: Hub, tmp_path: Path) -> None:
    """A description may name a backbone of this machine's libraries alone."""
    info = RunInfo("test_resnet", 16, ("a", "b"), 64, "cam", 0.2, "val", "", None, 0.1, 0)
    save_run(tmp_path, create_network("test_resnet", num_classes=2, pretrained=False), info)
    for backbone in ("hf-hub:owner/evil", "hf_hub:owner/evil", "local-dir:/tmp/evil"):
        told = json.loads((tmp_path / "model.json").read_text()) | {"backbone": backbone}
        hub.add(NAME, files_of(tmp_path) | {"model.json": json.dumps(told).encode()})
        forget()
        with pytest.raises(RunError, match="no backbone"):
            load_run(Path(f"hf:{NAME}"))
    assert not any("evil" in line for line in hub.options)


def test_the_commands_work(hub: Hub, tiny_run: Path, toy: Path, tmp_path: Path) -> None:
    """``wsol push`` and ``wsol predict`` as a user calls them, then once more without a network."""
    keys = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    environment = os.environ | keys | {"HF_HOME": str(tmp_path / "home")}

    def call(*argv: object, **more: str) -> subprocess.CompletedProcess[str]:
        return forked.run(
            [sys.executable, "-m", "wsol", *map(str, argv)],
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )

    sent = call("push", tiny_run, NAME, "--private")
    assert sent.returncode == 0, sent.stderr
    assert f"next, wsol predict IMAGES --run hf:{NAME}" in sent.stdout
    options = ("--device", "cpu", "--precision", "fp32", "--num_workers", 0, "--report", 0)
    rows = []
    for number, (run, offline) in enumerate(
        [(tiny_run, "0"), (f"hf:{NAME}", "0"), (f"hf:{NAME}", "1")]
    ):
        out = tmp_path / str(number)
        done = call(
            "predict", toy / "test", "--run", run, "--out", out, *options, HF_HUB_OFFLINE=offline
        )
        assert done.returncode == 0, done.stderr
        rows.append((out / "predictions.json").read_bytes())
    assert rows[0] == rows[1] == rows[2]
    assert "HF_HUB_OFFLINE forbids downloads; using the local copy" in done.stderr
    missing = call("predict", toy, "--run", "hf:a/b", "--out", tmp_path / "x", HF_HUB_OFFLINE="1")
    assert missing.returncode == 2
    assert len(missing.stderr.splitlines()) == 1
    assert "without HF_HUB_OFFLINE, or use a run folder" in missing.stderr
