"""Sections ``train``, ``optim``, ``loss`` and ``augment``: how a detector is trained."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from vision.choices import device_name
from vision.config.section import MAX_CAPPED, MAX_COUNT, MAX_SEED, NetworkSize, Section


class SmallConfig(Section):
    """Smaller images in the first epochs, which shortens training."""

    epochs: int = Field(0, ge=0, le=MAX_COUNT)
    """Number of epochs at the start that use small images; 0 for none."""
    image_size: NetworkSize = (224, 224)
    """Size of the small images in pixels: one number or [height, width]; multiples of 32 from 128
    to 640, or 300. The remaining epochs use ``model.image_size``."""


class TrainConfig(Section):
    """How long to train, with how many images in a batch, and on which device."""

    epochs: int = Field(100, ge=1, le=MAX_COUNT)
    """Number of passes over the training images."""
    small: SmallConfig = SmallConfig()
    batch_size: int = Field(32, ge=2, le=MAX_CAPPED)
    """Number of images per training step, over all processes. Each process needs at least 2,
    because BatchNorm cannot normalise the last feature map, one pixel, from a single image."""
    accumulate: int = Field(1, ge=1, le=MAX_COUNT)
    """Gradient accumulation: the images of a step pass through the network in this number of parts,
    which saves memory."""
    workers: int = Field(2, ge=0, le=MAX_CAPPED)
    """Number of processes that read and augment images, for each training process; 0 reads them in
    the training process itself. Results do not depend on it."""
    recipe: Literal["fixed", "auto"] = "fixed"
    """``auto`` chooses the epochs, batch size, learning rate, augmentation, frozen layers and more
    for your data and the initial weights; keys that you set keep their values."""
    seed: int = Field(0, ge=0, le=MAX_SEED)
    """Random seed of the whole run."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: CUDA if there is a GPU, else the CPU.
    ``gpu`` means ``cuda``, and a number such as ``1`` means ``cuda:1``."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the computation, with ``torch.autocast`` for bf16 and fp16. ``auto`` is bf16
    if the device computes bf16 in hardware, else fp32."""
    eval_every: int = Field(5, ge=1, le=MAX_COUNT)
    """Number of epochs between evaluations; the last epoch is always evaluated."""
    patience: int | None = Field(None, ge=1, le=MAX_COUNT)
    """Early stopping: training stops after this number of evaluations in a row without improvement;
    null never stops early."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Decay of the exponential moving average (EMA) of the weights, which is then evaluated and
    saved instead of the weights themselves; 0 for no average."""
    interpolation: list[Annotated[float, Field(gt=0, lt=1)]] = Field([])
    """After training, weighted means of the initial and the final weights are evaluated too, one
    for each of these fractions of the final weights (arXiv 2109.01903). New classes keep their
    final weights."""
    freeze: int = Field(0, ge=0, le=MAX_COUNT)
    """Number of layers at the start of the backbone that are not trained, BatchNorms included.
    MobileNetV2 has 19 layers, MobileNetV3 has 17."""
    freeze_norms: bool = False
    """Whether all BatchNorms keep their running statistics, as in evaluation; their scales and
    shifts are still trained."""
    sync_bn: bool = True
    """Whether BatchNorm computes its statistics over all processes when several train on GPUs."""
    compile: Literal["off", "on", "auto"] = "auto"
    """Whether ``torch.compile`` compiles the forward pass, loss and backward pass, which takes
    minutes. ``auto`` compiles on CUDA in runs of 2,000 steps or more. ``on`` and ``auto`` also use
    CUDA graphs on a single NVIDIA GPU with ``loss.assignment=ssd``, ``train.accumulate=1`` and any
    precision except fp16. ``true`` means ``on``, ``false`` means ``off``."""
    save_minutes: float = Field(10.0, gt=0, le=MAX_COUNT)
    """Minutes between checkpoints within an epoch, from which an interrupted run resumes. Another
    checkpoint is written after each epoch."""
    keep_states: int = Field(2, ge=1, le=MAX_COUNT)
    """Number of checkpoints that are kept; an older one is used if the newest is damaged."""
    log_every: int = Field(50, ge=1, le=MAX_COUNT)
    """Steps between log lines if the output is not a terminal, and between TensorBoard points."""
    tensorboard: bool = True
    """Whether losses, learning rate, metrics and pictures are written for TensorBoard."""

    @field_validator("device", mode="before")
    @classmethod
    def _device_name(cls, value: object) -> object:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return device_name(str(value)) if is_number or isinstance(value, str) else value

    @field_validator("compile", mode="before")
    @classmethod
    def _compile_choice(cls, value: object) -> object:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _parts_of_two(self) -> "TrainConfig":
        if self.batch_size < 2 * self.accumulate:
            raise ValueError(
                f"accumulate {self.accumulate} divides batch_size {self.batch_size} into parts of"
                " fewer than two images; set a smaller accumulate or a larger batch_size"
            )
        return self


class OptimConfig(Section):
    """The optimiser and its learning rate schedule."""

    name: Literal["sgd", "adamw"] = "sgd"
    """The optimiser."""
    lr: float = Field(0.05, gt=0, le=MAX_COUNT)
    """Peak learning rate, reached after the warm-up."""
    backbone_lr: float = Field(1.0, gt=0, le=MAX_COUNT)
    """Factor for the learning rate of the backbone; the other layers use ``lr``."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Factor from the learning rate of each backbone layer to that of the layer before it: the
    first layers, which are the most general, change least (BEiT, arXiv 2106.08254, section 3.2)."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD. AdamW always uses betas of 0.9 and 0.999."""
    weight_decay: float = Field(4e-5, ge=0, le=MAX_COUNT)
    """Weight decay of the convolution weights; BatchNorms and biases have none."""
    clip_ratio: float = Field(0.1, gt=0, le=MAX_COUNT)
    """Gradient clipping: maximum norm of a filter's gradient, relative to that of its weights."""
    warmup_epochs: float = Field(1.0, ge=0, le=MAX_COUNT)
    """Number of epochs at the start over which the learning rate rises linearly from near 0."""
    schedule: Literal["cosine", "multistep"] = "cosine"
    """Learning rate after the warm-up: ``cosine`` lowers it to 0 along half a cosine, ``multistep``
    multiplies it by ``gamma`` at each of the ``milestones``."""
    milestones: list[float] = Field([0.67, 0.9])
    """Milestones of ``multistep``, as fractions of ``train.epochs``."""
    gamma: float = Field(0.1, gt=0, lt=1)
    """Factor by which ``multistep`` multiplies the learning rate at each milestone."""

    @field_validator("milestones")
    @classmethod
    def _fractions(cls, milestones: list[float]) -> list[float]:
        if not all(0 < fraction < 1 for fraction in milestones):
            raise ValueError("expected fractions of the epochs, above 0 and below 1")
        return milestones


class LossConfig(Section):
    """How priors are assigned to objects, how many negatives are used, and the loss functions."""

    assignment: Literal["ssd", "tal"] = "ssd"
    """Which priors learn an object, the positives. ``ssd``: those that overlap it. ``tal``: those
    whose predicted scores and boxes fit it best (task-aligned assignment, arXiv 2108.07755); all
    others are negatives. ``tal`` needs ``model.scores=sigmoid``."""
    classification: Literal["cross_entropy", "quality"] = "cross_entropy"
    """Loss of the scores: ``cross_entropy``, binary if they are sigmoid scores, or ``quality``, the
    quality focal loss (arXiv 2006.04388), which needs ``assignment`` ``tal``."""
    localisation: Literal["smooth_l1", "giou"] = "smooth_l1"
    """Loss of the boxes: ``smooth_l1`` of the offsets from the priors, or ``giou``, one minus the
    generalised IoU (arXiv 1902.09630)."""
    match_iou: float = Field(0.5, gt=0, lt=1)
    """``ssd``: a prior is positive if its IoU with an object is at least this. ``tal`` uses it only
    to ignore priors that overlap difficult objects or crowds."""
    negative_ratio: float = Field(3.0, gt=0, le=MAX_COUNT)
    """``ssd``: number of negatives used for each positive prior of an image, hardest first."""
    min_negatives: int = Field(3, ge=0, le=MAX_COUNT)
    """``ssd``: minimum number of negatives per image, so that images without objects count too."""

    @model_validator(mode="after")
    def _quality_is_aligned(self) -> "LossConfig":
        if self.classification == "quality" and self.assignment != "tal":
            raise ValueError("classification quality needs assignment tal")
        return self


class AugmentConfig(Section):
    """Random changes of the training images (data augmentation)."""

    preset: Literal["none", "photometric", "ssdlite", "ssd"] = "ssdlite"
    """``photometric`` changes brightness, contrast, saturation and hue, and flips horizontally;
    ``ssdlite`` crops and flips; ``ssd`` does all of that, swaps colour channels and zooms out."""
