"""The options of training: one dataclass for Python, YAML and the command line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from wsol.data.annotations.types import OnBad
from wsol.data.names import read_split_folders
from wsol.methods import MethodConfig
from wsol.methods.none import Config as NoMethod
from wsol.options import (
    BatchSize,
    Device,
    FractionBelowOne,
    ImageSize,
    Name,
    NonNegativeFloat,
    NumWorkers,
    Options,
    PositiveFloat,
    PositiveInt,
    Range,
    Scale,
    Seed,
    no_effect,
    refusal,
)
from wsol.types import (
    BUNDLED_BACKBONE,
    Normalization,
    Precision,
    Schedule,
    SelectBy,
    distilled_part,
)

MILESTONES = (30 / 105, 60 / 105, 90 / 105)
"""Where the step schedule divides by ten: at epochs 30, 60 and 90 of the paper's 105."""


@dataclass(frozen=True)
class TrainConfig(Options):
    """Options of training.

    Args:
        data: folder of the data set: images by class or with a file of labels, or CUB-200-2011's
            own layout.
        out: the run folder to write.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO; default:
            boxes.csv or boxes.json in the data folder.
        on_bad_annotation: fail ends the command at the first row of boxes that cannot be used; skip
            leaves such rows out, each with a line that says where and why.
        splits: folder of published splits, wsolevaluation's metadata or label files of the ADL
            authors; default: those of the data folder.
        labels: labels as CSV or COCO JSON, any number for an image; default: labels.csv or
            labels.json in the data folder, else those of its folders.
        split_folders: folders that are splits, as train=FOLDER,test=FOLDER; none makes every folder
            a class; default: those named after splits.
        method: the training method and its options.
        backbone: a name that wsol list backbones shows: timm's networks, and those of the papers.
        output_stride: input pixels per pixel of the score map, where the network offers a choice.
        pretrained: start from ImageNet weights.
        init_from: a run to start from instead, a folder or hf:owner/name on the Hub, whose classes
            may be others.
        epochs: passes over the training images.
        batch_size: images per step, over all processes together.
        gradient_accumulation_steps: parts that a step's images go through the network in, one after
            another, to need less memory; their gradients are added up.
        lr: learning rate of the head.
        backbone_lr: learning rate of the pretrained layers as a share of the head's; 0 leaves them
            as they are, and training is several times faster.
        cache_features: compute the features of each image and of its mirror image once, and train
            the head on them; images are whole, without crops. A linear head of method none is
            fitted by logistic regression, at once: shifted_head, epochs and the options of gradient
            descent have no effect on it. Needs backbone_lr 0.
        shifted_head: start the head with weights that are not negative, so that each class's map
            starts as a mean of the channels; the classifier is the same, its maps cover more. It
            has no effect where images have several labels.
        frozen_bn: keep the pretrained statistics of batch normalisation, instead of those of each
            batch; without pretrained weights it has no effect.
        sync_bn: let batch normalisation see the images of all processes together; on GPUs alone,
            and with frozen_bn false.
        momentum: of Nesterov's gradient descent.
        weight_decay: of all weights.
        schedule: step (a tenth at each milestone) or onecycle.
        milestones: shares of the training at which the step schedule divides the learning rate by
            ten.
        image_size: side of the network's input in pixels.
        resize: side of the square that training crops are taken from, in pixels.
        scaled_decoding: decode large JPEG at a half, a quarter or an eighth of their size, to at
            least one and a half times resize, in training alone; much faster, and nearly the same.
        val_fraction: share of the training images kept for choosing the threshold, where the data
            set has no val split.
        val_every: epochs between two validations; the last epoch is always validated.
        localizer: makes the score maps for validation, and later for evaluation; several with *
            between them are joined; default: the method's, foreground for trilite and c2am and cam
            for all others.
        layers: modules of the network whose features the localizer reads; default: found and
            logged.
        affinity: a module of the network whose features the score map then follows; default: none.
        flip: average score maps with those of the flipped image.
        scales: average score maps over images of these sizes, as shares of size.
        normalization: how score maps are scaled to [0, 1]: by minimum and maximum (minmax), by the
            maximum alone (max), with a percentile at the top (pas) or at the bottom (ivr), or so
            that Otsu's threshold of each map becomes a half (otsu); without boxes to choose a
            threshold on, minmax becomes otsu, with each map's own threshold (prototypes keep
            minmax).
        seed: of everything drawn by chance.
        num_workers: processes that decode images; 0 decodes in the training process.
        precision: auto takes bfloat16 where the processor has it.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
        compile: translate the network into code for this machine, which takes a while and then
            runs faster; needs a C++ compiler.
        max_skipped: steps in a row that are skipped, as their loss or a gradient is not finite,
            before the training ends; with fp16 20 more, in which its scale is found.
        save_every: steps between two checkpoints inside an epoch; each epoch's end is saved too.
        resume: go on from the run folder's last checkpoint.
        tensorboard: also log for TensorBoard (extra tensorboard).
        keep_best: keep the weights of the epoch that is best on the val split instead of the last.
        select_by: boxes that tell the best epoch: ground_truth, or pseudo_boxes, which need none;
            auto is ground_truth where val has some, otherwise pseudo_boxes.
    """

    data: Path
    out: Path
    boxes: Path | None = None
    on_bad_annotation: OnBad = "fail"
    splits: Path | None = None
    labels: Path | None = None
    method: MethodConfig = field(default_factory=NoMethod)
    backbone: Name = BUNDLED_BACKBONE
    output_stride: PositiveInt | None = 16
    pretrained: bool = True
    init_from: Path | None = None
    epochs: PositiveInt = 5
    batch_size: BatchSize = 16
    gradient_accumulation_steps: PositiveInt = 1
    lr: PositiveFloat = 0.005
    backbone_lr: NonNegativeFloat = 0.1
    cache_features: bool = False
    shifted_head: bool = True
    frozen_bn: bool = True
    sync_bn: bool = False
    momentum: FractionBelowOne = 0.9
    weight_decay: NonNegativeFloat = 1e-4
    schedule: Schedule = "onecycle"
    milestones: tuple[Annotated[float, Range(above=0, below=1)], ...] = MILESTONES
    image_size: ImageSize = 224
    resize: ImageSize = 256
    scaled_decoding: bool = True
    val_fraction: FractionBelowOne = 0.1
    val_every: PositiveInt = 1
    localizer: str = ""
    layers: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization = "minmax"
    seed: Seed = 0
    num_workers: NumWorkers = 2
    precision: Precision = "auto"
    device: Device = "auto"
    compile: bool = False
    max_skipped: PositiveInt = 10
    save_every: PositiveInt = 200
    resume: bool = False
    tensorboard: bool = False
    split_folders: tuple[Name, ...] = ()
    keep_best: bool = False
    select_by: SelectBy = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        if not self.localizer:
            object.__setattr__(self, "localizer", self.method.localizer)
        read_split_folders(self.split_folders)
        if self.select_by != "auto" and not self.keep_best:
            raise no_effect("select_by", self.select_by, "without keep_best")
        if self.cache_features and (self.backbone_lr > 0 or not self.has_trained_body):
            raise refusal(
                "cache_features",
                self.cache_features,
                "set backbone_lr to 0 and use pretrained weights, as features of layers that learn "
                "change",
            )
        if self.cache_features and not self.frozen_bn:
            raise refusal("cache_features", self.cache_features, "set frozen_bn to true")
        if self.sync_bn and self.frozen_bn and self.has_trained_body:
            raise refusal(
                "sync_bn",
                self.sync_bn,
                "add --frozen_bn false, as frozen statistics do not depend on the images",
            )
        if self.resize < self.image_size and not self.cache_features:
            raise refusal("resize", self.resize, f"use an integer >= size ({self.image_size})")
        student = distilled_part(self.localizer)
        if student is not None:
            raise refusal(
                "localizer",
                self.localizer,
                "use another localizer, and after the training "
                f"wsol distill RUN --out NEW --student {student}",
            )
        if list(self.milestones) != sorted(self.milestones):
            raise refusal("milestones", self.milestones, "use rising numbers")
        if self.schedule != "step" and self.milestones != MILESTONES:
            raise no_effect("milestones", self.milestones, f"with schedule {self.schedule}")

    @property
    def has_trained_body(self) -> bool:
        """Whether the layers below the head start with weights of an earlier training."""
        return self.pretrained or self.init_from is not None


@dataclass(frozen=True)
class DemoConfig(Options):
    """Options of the demonstration.

    Args:
        out: folder to write; it must be empty or new.
        seed: of the toy images and of both trainings.
    """

    out: Path = Path("demo")
    seed: Seed = 0
