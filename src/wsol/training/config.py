"""Training options: one dataclass for Python, YAML and the command line."""

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated

from wsol.data.annotations.types import OnBad
from wsol.data.config import DataOptions
from wsol.inference.config import ComputeOptions, ScoreMapOptions
from wsol.methods import MethodConfig
from wsol.methods.none import Config as NoMethod
from wsol.options import (
    FractionBelowOne,
    ImageSize,
    Name,
    NonNegativeFloat,
    Options,
    PositiveFloat,
    PositiveInt,
    Range,
    Seed,
    no_effect,
    refusal,
)
from wsol.types import (
    BUNDLED_BACKBONE,
    Normalization,
    Schedule,
    SelectBy,
    distilled_part,
)

MILESTONES = (30 / 105, 60 / 105, 90 / 105)
"""Default milestones of the step schedule: epochs 30, 60 and 90 of the paper's 105."""


@dataclass(frozen=True)
class TrainConfig(DataOptions, ScoreMapOptions, ComputeOptions):
    """Training options.

    Args:
        data: data set folder: class folders, images with a labels file, or the original
            CUB-200-2011 layout.
        out: run folder to write.
        on_bad_annotation: handling of unusable box annotations: fail stops at the first one, skip
            drops each and logs its position and the reason.
        method: training method and its options.
        backbone: backbone name as shown by wsol list backbones: timm models and the networks of the
            papers.
        output_stride: input pixels per score map pixel (8, 16 or 32); backbones without a choice
            keep theirs, which is logged.
        pretrained: start from ImageNet weights; those of the default backbone are part of the
            installation, others are downloaded.
        init_from: run to start from instead: a run folder, or hf:owner/name on the Hub; its classes
            may differ; its head is used only if their number is the same.
        epochs: passes over the training images.
        batch_size: images per step, summed over all processes.
        gradient_accumulation_steps: micro-batches per step; their gradients are summed, which
            lowers memory use.
        lr: learning rate of the head.
        backbone_lr: learning rate of the pretrained layers as a fraction of the head's; 0 freezes
            them and makes training several times faster. Without trained weights, all layers use
            lr.
        cache_features: compute the features of each image and its mirror image once, and train the
            head on them; images are used whole, without crops. With method none, a linear head is
            fitted by logistic regression in one step: shifted_head, epochs and the options of
            gradient descent have no effect. Requires backbone_lr 0.
        shifted_head: initialize the head with non-negative weights, so that each class map starts
            as a mean of the channels; the classifier is the same, and its maps cover more. No
            effect on multi-label data.
        frozen_bn: keep the pretrained batch normalization statistics instead of the statistics of
            each batch; no effect without pretrained weights.
        sync_bn: synchronize batch normalization over all processes; GPUs only, and only with
            frozen_bn false.
        momentum: Nesterov momentum of gradient descent.
        weight_decay: weight decay of all weights.
        schedule: learning rate schedule: onecycle (warm-up for a tenth of the training, then cosine
            decay to zero), or step (division by ten at each milestone).
        milestones: fractions of the training at which the step schedule divides the learning rate
            by ten; default: epochs 30, 60 and 90 of 105.
        image_size: side of the network's input in pixels.
        resize: side in pixels of the square that training crops are taken from; at least
            image_size.
        scaled_decoding: decode large JPEG files at 1/2, 1/4 or 1/8 of their size, but at least 1.5
            times resize; for training only; much faster, with nearly the same pixels.
        val_fraction: fraction of the training images held out to choose the threshold if the data
            set has no val split; 0 holds out none.
        val_every: epochs between validations; the last epoch is always validated.
        localizer: localizer for validation and later evaluation, or several names combined with
            ``*``; default: cam; foreground for the methods trilite and c2am.
        layers: network modules whose features the localizer reads; default: chosen automatically
            and logged.
        affinity: network module whose features refine the score maps; default: none.
        flip: average score maps with those of the flipped image.
        scales: image sizes to average score maps over, relative to image_size.
        normalization: scaling of score maps to [0, 1]: minmax (minimum and maximum), max (maximum
            only), pas (percentile at the top), ivr (percentile at the bottom) or otsu (the Otsu
            threshold of each map becomes 0.5). Without boxes to choose a threshold on, minmax
            becomes otsu with a separate threshold per map (prototypes keep minmax).
        seed: random seed.
        num_workers: processes that decode images; 0 decodes in the training process.
        precision: floating-point precision; auto selects bfloat16 if the hardware supports it.
        compile: compile the network for this machine: slower start, faster steps; needs a C++
            compiler.
        max_skipped: consecutive steps with a non-finite loss or gradient that are skipped before
            training stops; fp16 may skip 20 more while it finds its loss scale.
        save_every: steps between checkpoints within an epoch; the end of each epoch is also saved.
        resume: resume from the last checkpoint of the run folder.
        tensorboard: also log to TensorBoard (extra tensorboard).
        keep_best: keep the weights of the best epoch on the val split instead of the last ones.
        select_by: boxes that determine the best epoch: ground_truth, or pseudo_boxes, which need no
            annotations; auto selects ground_truth if val has boxes, otherwise pseudo_boxes.
    """

    data: Path
    out: Path
    _: KW_ONLY
    on_bad_annotation: OnBad = "fail"
    method: MethodConfig = field(default_factory=NoMethod)
    backbone: Name = BUNDLED_BACKBONE
    output_stride: PositiveInt | None = 16
    pretrained: bool = True
    init_from: Path | None = None
    epochs: PositiveInt = 5
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
    normalization: Normalization = "minmax"
    seed: Seed = 0
    compile: bool = False
    max_skipped: PositiveInt = 10
    save_every: PositiveInt = 200
    resume: bool = False
    tensorboard: bool = False
    keep_best: bool = False
    select_by: SelectBy = "auto"

    def __post_init__(self) -> None:
        """Reject invalid options before anything is loaded."""
        super().__post_init__()
        if not self.localizer:
            object.__setattr__(self, "localizer", self.method.localizer)
        if self.select_by != "auto" and not self.keep_best:
            raise no_effect("select_by", self.select_by, "without keep_best")
        if self.cache_features and (self.backbone_lr > 0 or not self.has_trained_body):
            raise refusal(
                "cache_features",
                self.cache_features,
                "set backbone_lr to 0 and use pretrained weights, as only features of frozen "
                "layers can be cached",
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
            raise refusal(
                "resize", self.resize, f"use an integer >= image_size ({self.image_size})"
            )
        student = distilled_part(self.localizer)
        if student is not None:
            raise refusal(
                "localizer",
                self.localizer,
                "use another localizer, and after the training run "
                f"wsol distill RUN --out NEW --student {student}",
            )
        if list(self.milestones) != sorted(self.milestones):
            raise refusal("milestones", self.milestones, "use increasing numbers")
        if self.schedule != "step" and self.milestones != MILESTONES:
            raise no_effect("milestones", self.milestones, f"with schedule {self.schedule}")

    @property
    def has_trained_body(self) -> bool:
        """Whether the layers below the head start from trained weights."""
        return self.pretrained or self.init_from is not None


@dataclass(frozen=True)
class DemoConfig(Options):
    """Options of the demo.

    Args:
        out: folder to write; it must be empty or new.
        seed: random seed of the toy images and of both trainings.
    """

    out: Path = Path("demo")
    seed: Seed = 0
