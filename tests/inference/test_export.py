"""Exported graphs equal their runs, travel alone, and say why there is none."""

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from wsol import Localizer
from wsol.cli.main import main
from wsol.data.images import find_images
from wsol.errors import ConfigError, RunError
from wsol.inference import export as export_module
from wsol.inference.config import ExportConfig
from wsol.inference.export import TOLERANCE, export, export_localizer
from wsol.inference.exported import READERS, ExportedInfo, load_exported, open_own_torch
from wsol.localizers.distilled import DistilledLocalizer
from wsol.localizers.distilled_heads import BoxHead, PixelHead
from wsol.models import create_network
from wsol.models.published import published_names
from wsol.runs.run import load_run, save_run
from wsol.training.config import TrainConfig
from wsol.training.trainer import train
from wsol.types import ExportFormat

SIDE = 64
CLASSES = ("cat", "dog", "owl")


def make(
    backbone: str = "test_resnet", localizer: str = "cam", size: int = SIDE, **options: object
) -> Localizer:
    """Return a fitted localizer of a new network."""
    torch.manual_seed(0)
    network = create_network(backbone, num_classes=3, pretrained=False, size=size).eval()
    locate = Localizer(
        network,
        classes=CLASSES,
        localizer=localizer,
        image_size=size,
        precision="fp32",
        device="cpu",
        **options,
    )
    if locate.localizer.needs_fit and not isinstance(locate.localizer, DistilledLocalizer):
        locate.localizer.fit([torch.randn(4, 3, size, size)])
        locate.is_fitted = True
    return locate


def images_of(toy: Path) -> list[Path]:
    """Return the test images."""
    return [toy / "test" / name for name in find_images(toy / "test")]


def random_images(count: int = 3, size: int = SIDE) -> torch.Tensor:
    """Return images in [0, 1] that the export has not seen."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(7))


def differences(locate: Localizer, logits: np.ndarray, maps: np.ndarray, size: int) -> list[float]:
    """Return how far outputs are from those of the localizer, normalized here by hand."""
    images = random_images(len(logits), size)
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (locate.mean, locate.std))
    own = locate.localizer.locate(torch.from_numpy((images.numpy() - mean) / std))
    pairs = ((own.logits, logits), (own.maps, maps))
    return [float(np.abs(a.numpy() - b).max() / np.abs(a.numpy()).max()) for a, b in pairs]


@pytest.mark.parametrize(
    ("backbone", "localizer", "options"),
    [
        ("test_resnet", "feature_norm*ddt", {"affinity": "auto"}),
        ("test_resnet", "prototypes", {}),
        ("test_vit", "tscam", {}),
    ],
)
def test_onnxruntime_gives_what_the_localizer_does(
    backbone: str, localizer: str, options: dict[str, object], tmp_path: Path
) -> None:
    """By onnxruntime alone, from the file alone, for any number of images."""
    locate, path = make(backbone, localizer, **options), tmp_path / "model.onnx"
    said = export_localizer(locate, path)
    assert 0 < max(said) <= TOLERANCE
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["images"]
    assert session.get_inputs()[0].shape[1:] == [3, SIDE, SIDE]
    for count in (1, 5):
        logits, maps = session.run(["logits", "maps"], {"images": random_images(count).numpy()})
        assert (logits.shape, maps.shape) == ((count, 3), (count, SIDE, SIDE))
        assert (logits.dtype, maps.dtype) == (np.float32, np.float32)
        assert max(differences(locate, logits, maps, SIDE)) <= TOLERANCE
    info = json.loads(session.get_modelmeta().custom_metadata_map["wsol"])
    assert (info["classes"], info["image_size"], info["localizer"]) == ([*CLASSES], SIDE, localizer)


TORCH_CASES = [
    ("tf_efficientnet_lite0", "cam", 64, {}),
    ("test_resnet", "feature_norm", 64, {"scales": (1, 0.5), "flip": True}),
    ("test_vit", "attention_rollout", 64, {}),
    *((name, "cam", 96 if "inception" in name else 64, {}) for name in published_names()),
]


@pytest.mark.parametrize(("backbone", "localizer", "size", "options"), TORCH_CASES)
def test_torch_gives_what_the_localizer_does(
    backbone: str, localizer: str, size: int, options: dict[str, object], tmp_path: Path
) -> None:
    """The same for torch's own format and networks of all kinds."""
    locate, path = make(backbone, localizer, size, **options), tmp_path / "model.pt2"
    assert max(export_localizer(locate, path, "torch")) <= TOLERANCE
    extra = {"wsol.json": ""}
    logits, maps = torch.export.load(path, extra_files=extra).module()(random_images(4, size))
    found = differences(locate, logits.detach().numpy(), maps.detach().numpy(), size)
    assert max(found) <= TOLERANCE
    assert json.loads(extra["wsol.json"])["classes"] == [*CLASSES]


@pytest.mark.parametrize(("name", "head"), [("pixels", PixelHead), ("psol", BoxHead)])
def test_the_fitted_state_is_exported_too(
    name: str, head: Callable[..., torch.nn.Module], tmp_path: Path
) -> None:
    """Heads of wsol distill are in the graph."""
    locate = make("test_resnet", name, layers="layer4")
    assert isinstance(locate.localizer, DistilledLocalizer)
    torch.manual_seed(0)
    # What a new head says is nearly flat, and would be rounding errors once it is scaled.
    weights = {key: 10 * value for key, value in head(channels=96).state_dict().items()}
    locate.localizer.load_state({f"{name}.{key}": value for key, value in weights.items()})
    locate.is_fitted = True
    path = tmp_path / "model.pt2"
    assert max(export_localizer(locate, path, "torch")) <= TOLERANCE
    logits, maps = torch.export.load(path).module()(random_images(3))
    assert max(differences(locate, logits.detach().numpy(), maps.detach().numpy(), SIDE)) < 1e-4


@pytest.mark.parametrize("method", ["trilite", "c2am"])
@pytest.mark.parametrize("options", [{}, {"affinity": "layer3"}])
def test_the_foreground_map_of_a_head_travels_too(
    method: str, options: dict[str, str], tmp_path: Path
) -> None:
    """In both formats, alone and with affinity."""
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=3, pretrained=False, method=method).eval()
    locate = Localizer(
        network, classes=CLASSES, localizer="foreground", image_size=SIDE, device="cpu", **options
    )
    for form, name in (("onnx", "model.onnx"), ("torch", "model.pt2")):
        assert max(export_localizer(locate, tmp_path / name, form)) <= TOLERANCE
    own = Localizer(tmp_path / "model.onnx")
    assert own.localizer_config.localizer == "foreground"


def test_a_given_network_stays_in_its_mode(tmp_path: Path) -> None:
    """It may be in training, a part of it aside."""
    locate = make("test_resnet", "feature_norm")
    locate.model.train()
    locate.model.body.bn1.eval()
    modes = [module.training for module in locate.model.modules()]
    export_localizer(locate, tmp_path / "a.pt2", "torch")
    assert [module.training for module in locate.model.modules()] == modes


@pytest.mark.parametrize(
    ("localizer", "reason"),
    [
        ("gradcam", "it needs gradients"),
        ("cam*layercam", "it needs gradients"),
        ("scorecam", "it needs a forward pass for each channel"),
        ("eigencam", "it needs eigenvectors"),
    ],
)
def test_what_has_no_graph_says_why(localizer: str, reason: str, tmp_path: Path) -> None:
    """In one line, with localizers that have one."""
    with pytest.raises(ConfigError, match=rf"{reason}.*--localizer cam or feature_norm"):
        export_localizer(make(localizer=localizer), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_has_seen_no_images_is_refused(tmp_path: Path) -> None:
    """DDT without its component is not a graph."""
    locate = make(localizer="ddt")
    locate.is_fitted = False
    with pytest.raises(ConfigError, match="ddt cannot be exported: it is not fitted"):
        export_localizer(locate, tmp_path / "model.onnx")


def test_a_graph_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are compared before the file is there; one error says by how much."""
    forward = export_module.Whole.forward
    monkeypatch.setattr(
        export_module.Whole,
        "forward",
        lambda self, images: tuple(each * 1.001 for each in forward(self, images)),
    )
    with pytest.raises(ConfigError, match=r"differs from the run: logits by 1\.0e-03"):
        export_localizer(make(), tmp_path / "model.pt2", "torch")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_traced_is_one_line(tmp_path: Path) -> None:
    """Whatever it does that no graph can."""

    class Fickle(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((2, 3)) * (1 if images.mean().item() > 0 else 2)

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, stride=8), Fickle())
    locate = Localizer(network, localizer="feature_norm", layers="0", image_size=32, device="cpu")
    with pytest.raises(ConfigError, match="cannot be exported as torch: ") as caught:
        export_localizer(locate, tmp_path / "model.pt2", "torch")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def run(tiny: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run whose reading is not the default one."""
    out = tmp_path_factory.mktemp("export") / "run"
    return train(replace(tiny, out=out, localizer="ddt", affinity="layer3"))


@pytest.fixture(scope="module")
def graphs(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[ExportFormat, Path]:
    """Return the run in both formats."""
    folder = tmp_path_factory.mktemp("graphs")
    paths: dict[ExportFormat, Path] = {"onnx": folder / "m.onnx", "torch": folder / "m.pt2"}
    for form, path in paths.items():
        export(ExportConfig(run, path, form))
    return paths


def test_prediction_is_that_of_the_run(
    run: Path, graphs: dict[ExportFormat, Path], toy: Path
) -> None:
    """Boxes, classes, scores and heat maps of test images, at every threshold."""
    images = images_of(toy)
    assert len(images) == 12
    for options in (
        {},
        {"threshold": "auto"},
        {"threshold": 0.3},
        {"threshold": 0.3, "instances": "multiple", "normalization": "ivr"},
    ):
        own = Localizer(run, precision="fp32", device="cpu", **options)
        other = Localizer(graphs["onnx"], batch_size=5, **options)
        assert (own.threshold, own.classes) == (other.threshold, other.classes)
        assert own.normalization == other.normalization
        for a, b in zip(own(images), other(images), strict=True):
            assert (a.label, a.status, a.original_size) == (b.label, b.status, b.original_size)
            assert b.heat_map == pytest.approx(a.heat_map, abs=1e-4)
            assert b.score == pytest.approx(a.score, abs=1e-4)
            assert np.array_equal(a.boxes, b.boxes)
    first, second = (next(locate.classify(images[:1])) for locate in (own, other))
    assert [name for name, _ in first] == [name for name, _ in second]


def test_a_graph_is_cut_as_its_run(run: Path, tmp_path: Path) -> None:
    """Also where the run has no threshold, and where one is given then."""
    copy = shutil.copytree(run, tmp_path / "run")
    network, info = load_run(copy)
    save_run(copy, network, replace(info, threshold_from="default"))
    export(ExportConfig(copy, tmp_path / "m.onnx"))
    export(ExportConfig(copy, tmp_path / "n.onnx", threshold=0.25))
    for options in ({}, {"threshold": "auto"}, {"threshold": 0.4}):
        own, other = Localizer(copy, **options), Localizer(tmp_path / "m.onnx", **options)
        for name in ("normalization", "threshold", "threshold_from"):
            assert getattr(own, name) == getattr(other, name)
    given = Localizer(tmp_path / "n.onnx")
    assert (given.normalization, given.threshold) == ("minmax", 0.25)


def test_the_graph_is_that_of_the_weights_as_they_are(
    run: Path, graphs: dict[ExportFormat, Path]
) -> None:
    """Against the run's network before batch norm is fused or weights are moved."""
    network, info = load_run(run)
    images = random_images()
    spec = [torch.tensor(each).view(1, 3, 1, 1) for each in (network.mean, network.std)]
    with torch.no_grad():
        logits = network((images - spec[0]) / spec[1]).logits
    found = load_exported(graphs["onnx"])(images)
    assert torch.allclose(found.logits, logits, atol=1e-4 * float(logits.abs().max()))
    loaded = load_exported(graphs["onnx"]).info
    assert (loaded.classes, loaded.image_size) == (info.classes, info.image_size)
    assert (loaded.threshold, loaded.localizer_config) == (info.threshold, info.localizer_config)
    same = open_own_torch(graphs["torch"])
    assert loaded == same.info
    for a, b in zip(same(images), found, strict=True):
        assert torch.allclose(a, b, atol=1e-4 * float(b.abs().max()))


def test_the_command_line_goes_all_the_way(
    run: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Export and predict, with the same files as the run gives; another localizer if asked for."""
    path, cam = tmp_path / "model.onnx", ["--localizer", "cam"]
    assert main(["export", str(run), "--format", "onnx", "--out", str(path), *cam]) == 0
    assert "equals the run within" in capsys.readouterr().out
    options = ["--report", "0", "--num_workers", "0", "--precision", "fp32", "--device", "cpu"]
    results = []
    for name, given in (("own", str(run)), ("graph", str(path))):
        argv = ["predict", str(toy / "test"), "--run", given, "--out", str(tmp_path / name)]
        assert main([*argv, *options, *([] if name == "graph" else cam)]) == 0
        results.append(json.loads((tmp_path / name / "predictions.json").read_text()))
    boxes = [[each["bbox"] for each in found] for found in results]
    assert len(boxes[0]) > 0
    assert boxes[0] == boxes[1]


def test_a_file_of_torch_is_never_opened_to_predict(graphs: dict[ExportFormat, Path]) -> None:
    """Opening it is running it."""
    with pytest.raises(RunError, match="export the run with --format onnx"):
        Localizer(graphs["torch"])


def test_opening_runs_no_pickle_of_a_stranger(tmp_path: Path) -> None:
    """A file that is no graph of ours is refused before torch sees it."""
    path = tmp_path / "evil.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("evil/data/sample_inputs/model.pt", b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(RunError, match="not a complete file of wsol export"):
        open_own_torch(path)


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_a_part_of_a_file_is_refused_in_one_line(
    form: ExportFormat, graphs: dict[ExportFormat, Path], tmp_path: Path
) -> None:
    """Cut anywhere, empty, or of other bytes."""
    content = graphs[form].read_bytes()
    path = tmp_path / graphs[form].name
    for bad in (b"", content[:100], content[: len(content) // 2], content[:-1], b"x" * 1000):
        path.write_bytes(bad)
        with pytest.raises(RunError, match="not a complete file of wsol export") as caught:
            READERS[form](path)
        assert "\n" not in str(caught.value)


def test_graphs_of_others_are_refused(graphs: dict[ExportFormat, Path], tmp_path: Path) -> None:
    """ONNX without our description, or with a wrong one; files of no known kind; no file."""
    model = onnx.load(graphs["onnx"])
    path = tmp_path / "other.onnx"
    for value in ("{", "[]", "{}", '{"classes": 3}'):
        model.metadata_props[0].value = value
        onnx.save(model, path)
        with pytest.raises(RunError, match="not a complete file of wsol export"):
            Localizer(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(RunError, match="not a complete file of wsol export"):
        Localizer(path)
    with pytest.raises(RunError, match="no such file"):
        Localizer(tmp_path / "none.onnx")
    (tmp_path / "a.txt").touch()
    with pytest.raises(RunError, match="neither a run folder nor an exported model"):
        Localizer(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "option",
    [
        {"localizer": "cam"},
        {"layers": "layer4"},
        {"affinity": "auto"},
        {"flip": True},
        {"scales": (1, 2)},
        {"labels": ("circle",)},
        {"image_size": 96},
        {"precision": "bf16"},
    ],
)
def test_what_a_graph_fixes_cannot_be_asked_for(
    option: dict[str, object], graphs: dict[ExportFormat, Path]
) -> None:
    """One line names the option."""
    (name,) = option
    with pytest.raises(ConfigError, match=f"{name}: cannot be changed in .*m.onnx"):
        Localizer(graphs["onnx"], **option)


def test_another_class_than_the_likeliest_is_refused(
    graphs: dict[ExportFormat, Path], toy: Path
) -> None:
    """The graph has no map of it; that of the likeliest itself may be asked for."""
    locate = Localizer(graphs["onnx"])
    image = images_of(toy)[:1]
    (found,) = locate(image)
    (same,) = locate(image, label=found.label)
    assert np.array_equal(same.boxes, found.boxes)
    other = next(name for name in locate.classes if name != found.label)
    with pytest.raises(ConfigError, match="top-1 class"):
        list(locate(image, label=other))


def test_multi_label_models_keep_the_sigmoid(tmp_path: Path, toy: Path) -> None:
    """A graph of such a run gives the likeliest class, with its own probability."""
    locate = make()
    locate.is_multi_label = True
    export_localizer(locate, tmp_path / "m.onnx")
    loaded = Localizer(tmp_path / "m.onnx")
    assert (loaded.is_multi_label, loaded.instances) == (True, "multiple")
    image = images_of(toy)[:1]
    (likely,) = loaded.classify(image)
    (found,) = loaded(image)
    assert (found.label, found.score) == (likely[0][0], pytest.approx(likely[0][1]))
    assert set(found.box_labels.tolist()) <= {found.class_index}


def test_without_onnxruntime_one_line_names_the_extra(
    graphs: dict[ExportFormat, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open a graph and to write one."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install .wsol\[onnx\]"):
        Localizer(graphs["onnx"])
    monkeypatch.setattr(export_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"onnx, .*pip install .wsol\[onnx\]"):
        export_localizer(make(), tmp_path / "m.onnx")


def test_wrong_options_are_refused_at_once(tmp_path: Path) -> None:
    """The file's name says its format; a graph is not exported again."""
    with pytest.raises(ConfigError, match=r"out: .*\.onnx .*onnx"):
        ExportConfig(tmp_path, tmp_path / "a.pt2")
    (tmp_path / "a.onnx").touch()
    with pytest.raises(ConfigError, match=r"run: .*run folder"):
        ExportConfig(tmp_path / "a.onnx", tmp_path / "b.onnx")


def test_the_description_survives() -> None:
    """Names of any letters, and every figure bit for bit."""
    info = ExportedInfo(
        ('a"\n,', "ä 鳥", ""), 7, 1 / 3, True, mean=(0.1, 0.2, 0.3), std=(1 / 3,) * 3, version="x"
    )
    again = ExportedInfo.from_json(info.to_json())
    assert asdict(again) == asdict(info)


@pytest.mark.filterwarnings("ignore")
def test_a_graph_of_constant_maps_has_no_object(tmp_path: Path, toy: Path) -> None:
    """With affinity, whose scaling is inside the graph."""
    locate = make(localizer="feature_norm", affinity="layer3")
    for weight in locate.model.body.parameters():
        torch.nn.init.zeros_(weight)
    path = tmp_path / "a.onnx"
    export_localizer(locate, path)
    images = images_of(toy)[:2]
    for found in (*locate(images), *Localizer(path, device="cpu")(images)):
        assert (found.status, len(found.boxes)) == ("no_object", 0)
