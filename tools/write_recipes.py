"""Write the recipes of the published tables, and their table in docs/recipes.md.

    python tools/write_recipes.py

The tables below are the only source; a test checks that the files equal the generated ones.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "src/wsol/recipes"
PAGE = ROOT / "docs/recipes.md"
BEGIN, END = "<!-- begin of the table -->\n", "<!-- end of the table -->\n"

DATA = {"cub": "data/cub", "ilsvrc": "data/imagenet", "openimages": "data/openimages/images"}
DATA_NAMES = {"cub": "CUB", "ilsvrc": "ILSVRC", "openimages": "OpenImages"}

Options = Mapping[str, object]


@dataclass(frozen=True)
class Row:
    """One row of a published table.

    Args:
        name: name of the recipe.
        title: paper, data set, network and method.
        reported: the published result.
        notes: sources, unpublished settings and differences, one line each.
        options: options of ``wsol train``; those of the method below ``method``.
    """

    name: str
    title: str
    reported: str
    notes: tuple[str, ...]
    options: Options

    def text(self) -> str:
        """Return the recipe's file."""
        head = (f"Row: {self.title}", f"Reported: {self.reported}", "Run here: no", "")
        comments = [f"# {line}".rstrip() for line in (*head, *self.notes)]
        return "\n".join([*comments, *_yaml(self.options)]) + "\n"


def _yaml(options: Options, indent: str = "") -> Iterator[str]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_plain(value)}"


def _plain(value: object) -> str:
    """Return a value as YAML, numbers without exponent: PyYAML reads 1e-05 as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0").removesuffix(".")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value)


COMMON: Options = {
    "momentum": 0.9,
    "image_size": 224,
    "resize": 256,
    "val_fraction": 0,
    # Original class activation maps, and batch normalization with the statistics of each batch.
    "shifted_head": False,
    "frozen_bn": False,
}

# Choe & Shim, Attention-based Dropout Layer, CVPR 2019.

ADL2019_REPORTED = {
    ("cub", "vgg_gap"): "Top-1 Loc 52.36, GT-known 75.41",
    ("cub", "resnet50_se"): "Top-1 Loc 62.29",
    ("cub", "mobilenet_v1"): "Top-1 Loc 47.74",
    ("cub", "inception_v3"): "Top-1 Loc 53.0",
    ("ilsvrc", "vgg_gap"): "Top-1 Loc 44.92",
    ("ilsvrc", "resnet50_se"): "Top-1 Loc 48.53",
    ("ilsvrc", "mobilenet_v1"): "Top-1 Loc 43.01",
    ("ilsvrc", "inception_v3"): "Top-1 Loc 48.7",
}


@dataclass(frozen=True)
class ADLNetwork:
    """Network of the ADL paper: name there and here, gamma, and the other published values."""

    title: str
    backbone: str
    threshold: float
    layers: str
    file: str = ""
    lr: float = 0.01
    weight_decay: float = 1e-4


POSITIONS = "ADL is at positions {} of that code, the default of the network."
UNPUBLISHED = "The layers of ADL were never published; here {}."

ADL2019_NETWORKS = {
    "vgg_gap": ADLNetwork(
        "VGG-GAP",
        "tensorpack/vgg_gap",
        0.8,
        POSITIONS.format("3, 4 and 53"),
        file="vgg16.npz",
        weight_decay=5e-4,
    ),
    "resnet50_se": ADLNetwork(
        "ResNet50-SE",
        "tensorpack/resnet50_se",
        0.9,
        POSITIONS.format("31, 41 and 5"),
        file="ImageNet-ResNet50-SE.npz",
        lr=0.1,
    ),
    "mobilenet_v1": ADLNetwork(
        "MobileNetV1",
        "mobilenetv1_100",
        0.95,
        UNPUBLISHED.format("it is at the last feature maps"),
    ),
    "inception_v3": ADLNetwork(
        "InceptionV3",
        "wsolevaluation/inception_v3",
        0.8,
        UNPUBLISHED.format("they are wsolevaluation's"),
    ),
}

ADL2019_PASSES = {
    "cub": (561, "105 epochs of 32,000 images are 561 passes over the 5,994 of CUB."),
    "ilsvrc": (21, "105 epochs of 256,000 images are 21 passes over the 1,281,167 of ILSVRC."),
}


def adl2019_rows() -> Iterator[Row]:
    """Yield the rows of the ADL paper."""
    for (data, network), reported in ADL2019_REPORTED.items():
        values, (epochs, passes) = ADL2019_NETWORKS[network], ADL2019_PASSES[data]
        name = f"adl2019-{data}-{network}"
        yield Row(
            name,
            f"Choe & Shim 2019, {DATA_NAMES[data]}, {values.title}, ADL",
            f"{reported} (second-hand)",
            tuple(_adl2019_notes(data, network, passes)),
            {
                "data": DATA[data],
                "out": f"runs/{name}",
                "backbone": values.backbone,
                "method": {"name": "adl", "drop_rate": 0.75, "threshold": values.threshold},
                "pretrained": not values.file,
                **({"init_from": f"runs/tensorpack-{network}"} if values.file else {}),
                "output_stride": 16,
                "epochs": epochs,
                "batch_size": 128,
                "lr": values.lr,
                "backbone_lr": 0.1,
                "weight_decay": values.weight_decay,
                "schedule": "step",
                # 30, 60, 90 and 100 of 105; rounded down, so that no step comes late.
                "milestones": (0.285714, 0.571428, 0.857142, 0.95238),
                **COMMON,
            },
        )


def _adl2019_notes(data: str, network: str, passes: str) -> Iterator[str]:
    yield "Source: Choe & Shim, Attention-based Dropout Layer, CVPR 2019, section 4.1, and the"
    yield "authors' code, junsukchoe/ADL: drop rate, schedule, crop, rates of pretrained layers."
    yield passes
    file = ADL2019_NETWORKS[network].file
    yield ADL2019_NETWORKS[network].layers
    if file:
        yield f"The initial weights are the authors' {file}; import them first:"
        yield f"  wsol import tensorpack {file} --out runs/tensorpack-{network}"
    else:
        yield "Never published for this network: the learning rate (here the default of the code),"
        yield "batch size and weight decay (here those of ResNet50-SE). The threshold (gamma) is"
        yield "second-hand."
    if network == "resnet50_se":
        yield "The paper's batch is 128; the script published with the code has 32."
    if data == "ilsvrc" and file:
        yield "Never published for ILSVRC: learning rate and batch size; here they are CUB's."
    yield "The authors kept the checkpoint with the best top-1 on the test split; here it is the"
    yield "last. Their weight decay excludes biases and batch normalization; here it includes them."
    yield "Evaluate with wsol evaluate --protocol adl2019."


# Choe et al., Evaluation for Weakly Supervised Object Localization, arXiv:2007.04178.

NETWORKS = {"vgg16": "VGG16", "inception_v3": "InceptionV3", "resnet50": "ResNet50"}
METHODS = {
    "cam": "CAM",
    "has": "HaS",
    "acol": "ACoL",
    "spg": "SPG",
    "adl": "ADL",
    "cutmix": "CutMix",
}

# Columns as in NETWORKS.
WSOLEVAL_REPORTED = {
    "ilsvrc": {
        "cam": (60.02, 63.40, 63.65),
        "has": (60.59, 63.72, 63.40),
        "acol": (57.43, 63.69, 62.29),
        "spg": (59.92, 63.27, 63.27),
        "adl": (59.86, 61.43, 63.65),
        "cutmix": (59.46, 63.86, 63.27),
    },
    "cub": {
        "cam": (63.71, 56.68, 62.98),
        "has": (63.71, 53.38, 64.63),
        "acol": (57.38, 56.18, 66.43),
        "spg": (56.28, 55.91, 60.37),
        "adl": (66.27, 58.81, 58.33),
        "cutmix": (62.31, 57.43, 62.76),
    },
    "openimages": {
        "cam": (58.30, 63.23, 58.49),
        "has": (58.14, 58.11, 55.93),
        "acol": (54.34, 57.02, 57.25),
        "spg": (58.31, 62.31, 56.71),
        "adl": (58.65, 56.85, 55.15),
        "cutmix": (58.07, 62.56, 57.73),
    },
}

OPTIONS = {
    "cam": (),
    "has": ("grid_sizes", "drop_rate"),
    "acol": ("threshold",),
    "adl": ("drop_rate", "threshold"),
    "cutmix": ("beta", "prob"),
    "spg": ("high1", "low1", "high2", "low2", "high3", "low3"),
}
"""Options of each method, in the order of the values below, which follow the learning rate."""

Values = tuple[object, ...]

DEFAULTS: dict[str, tuple[float, Values]] = {
    "cam": (0.01, ()),
    "has": (0.01, ((4,), 0.5)),
    "acol": (0.01, (0.7,)),
    "adl": (0.01, (0.75, 0.9)),
    "cutmix": (0.01, (1.0, 1.0)),
    "spg": (0.01, (0.7, 0.01, 0.5, 0.05, 0.7, 0.1)),
}
"""Default learning rate and options of the method in the published code."""

TUNED: dict[tuple[str, str], tuple[float, Values]] = {
    ("vgg16", "cam"): (1.268e-5, ()),
    ("resnet50", "cam"): (2.322e-4, ()),
    ("inception_v3", "cam"): (2.248e-3, ()),
    ("vgg16", "has"): (3.43e-3, ((65,), 0.47)),
    ("resnet50", "has"): (3.62e-3, ((120,), 0.66)),
    ("inception_v3", "has"): (1.40e-2, ((170,), 0.26)),
    ("vgg16", "acol"): (1.06e-4, (0.89,)),
    ("resnet50", "acol"): (1.70e-5, (0.57,)),
    ("inception_v3", "acol"): (6.59e-3, (0.79,)),
    ("vgg16", "adl"): (2.43e-5, (0.33, 0.72)),
    ("resnet50", "adl"): (1.253e-2, (0.24, 0.76)),
    ("inception_v3", "adl"): (3.87e-4, (0.69, 0.86)),
    ("vgg16", "cutmix"): (3.22e-5, (0.85, 0.79)),
    ("resnet50", "cutmix"): (3.33e-4, (1.35, 0.24)),
    ("inception_v3", "cutmix"): (2.25e-3, (0.04, 0.30)),
    ("vgg16", "spg"): (1.256e-4, (0.29, 0.23, 0.03, 0.02, 0.82, 0.59)),
    ("resnet50", "spg"): (4.52e-5, (0.41, 0.35, 0.24, 0.21, 0.12, 0.08)),
    ("inception_v3", "spg"): (3.36e-4, (0.28, 0.02, 0.17, 0.03, 0.47, 0.31)),
}
"""Learning rate and options of the method as tuned on CUB."""

README_LR = {("openimages", "vgg16", "cam"): 0.00227913316}
"""Learning rate of the only training command in the published code's README."""


def wsoleval_rows() -> Iterator[Row]:
    """Yield the rows of the re-evaluation."""
    for data, by_method in WSOLEVAL_REPORTED.items():
        for method, figures in by_method.items():
            for network, figure in zip(NETWORKS, figures, strict=True):
                yield _wsoleval_row(data, network, method, figure)


def _wsoleval_row(data: str, network: str, method: str, figure: float) -> Row:
    lr, values = TUNED[network, method] if data == "cub" else DEFAULTS[method]
    lr = README_LR.get((data, network, method), lr)
    options = dict(zip(OPTIONS[method], values, strict=True))
    name = f"wsoleval-{data}-{network}-{method}"
    metric = "PxAP" if data == "openimages" else "MaxBoxAccV2"
    return Row(
        name,
        f"Choe et al. 2020, {DATA_NAMES[data]}, {NETWORKS[network]}, {METHODS[method]}",
        f"{metric} {figure:.2f} (second-hand)",
        tuple(_wsoleval_notes(data, network, method)),
        {
            "data": DATA[data],
            "out": f"runs/{name}",
            "backbone": f"wsolevaluation/{network}",
            "method": {"name": "none" if method == "cam" else method, **options},
            "pretrained": True,
            "output_stride": 16,
            "epochs": 50 if data == "cub" else 10,
            "batch_size": 32,
            "lr": 10 * lr,
            "backbone_lr": 0.1,
            "weight_decay": 1e-4 if network == "resnet50" else 5e-4,
            "schedule": "step",
            "milestones": (0.28, 0.58, 0.88) if data == "cub" else (0.2, 0.5, 0.8),
            **COMMON,
        },
    )


def _wsoleval_notes(data: str, network: str, method: str) -> Iterator[str]:
    yield "Source: Choe et al., Evaluation for Weakly Supervised Object Localization: Protocol,"
    yield "Metrics, and Datasets, arXiv:2007.04178, and its code, clovaai/wsolevaluation: network,"
    yield "crop, and the head's rate of ten times the other layers'."
    often = "15 of 50" if data == "cub" else "3 of 10"
    yield f"The code counts epochs from one and divides the rate by ten every {often} epochs."
    if (data, network, method) in README_LR:
        yield "Learning rate, batch size, epochs, weight decay and the size of score maps are those"
        yield "of the only training command in the code's README."
        return
    yield "Batch size, epochs and weight decay are second-hand and unconfirmed."
    if data == "cub":
        yield "So are the values tuned on CUB: learning rate and options of the method."
    else:
        yield f"The values tuned on {DATA_NAMES[data]} are not in the code and unknown here."
        yield "Learning rate and options of the method are the code's defaults; do not expect the"
        yield "reported result."
    yield "It is unknown whether score maps of 14 or 28 pixels were tuned best: 14 here;"
    yield "--output_stride 8 gives 28."


ROWS = [*adl2019_rows(), *wsoleval_rows()]


def files() -> dict[Path, str]:
    """Return the content of each file to write."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    lines = ["| recipe | row | reported | run here |", "|---|---|---|---|"]
    lines += [f"| `{row.name}` | {row.title} | {row.reported} | no |" for row in ROWS]
    table = "\n".join(lines) + "\n"
    return {
        **{RECIPES / f"{row.name}.yaml": row.text() for row in ROWS},
        PAGE: before + BEGIN + "\n" + table + "\n" + END + after,
    }


def main() -> None:
    """Write all files, and remove recipes that are no longer rows."""
    written = files()
    for path in RECIPES.glob("*.yaml"):
        if path not in written:
            path.unlink()
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
