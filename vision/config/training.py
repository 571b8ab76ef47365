"""Sections ``train``, ``optim``, ``loss`` and ``augment``: how a detector is trained."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from vision.choices import device_name
from vision.config.section import MAX_CAPPED, MAX_COUNT, MAX_SEED, NetworkSize, Section


class SmallConfig(Section):
    """Smaller images in the first epochs, which take less time."""

    epochs: int = Field(0, ge=0, le=MAX_COUNT)
    """Number of first epochs that use them; the others use ``model.image_size``."""
    image_size: NetworkSize = (224, 224)
    """One number or [height, width]; multiples of 32 from 128 to 640, or 300."""


class TrainConfig(Section):
    """How long training takes, on how many images at once, and where."""

    epochs: int = Field(100, ge=1, le=MAX_COUNT)
    """Number of passes over the training images."""
    small: SmallConfig = SmallConfig()
    batch_size: int = Field(32, ge=2, le=MAX_CAPPED)
    """Images of a step, over all processes. Each process needs 2 or more, since BatchNorm cannot
    normalise the last feature maps, of one pixel, from a single image."""
    accumulate: int = Field(1, ge=1, le=MAX_COUNT)
    """Number of parts in which the images of a step go through the network, to save memory."""
    workers: int = Field(2, ge=0, le=MAX_CAPPED)
    """Processes that read and augment images, for each process that trains. Results do not depend
    on their number."""
    recipe: Literal["fixed", "auto"] = "fixed"
    """With ``auto``, epochs, batch size, learning rate, augmentation and frozen layers are chosen
    for the data and the initial weights, unless they are set."""
    seed: int = Field(0, ge=0, le=MAX_SEED)
    """Seed of everything random in the run."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: CUDA if there is a GPU, else the CPU.
    ``gpu`` and numbers are taken for CUDA devices."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """``auto`` is bf16 autocast where the device has bf16 arithmetic in hardware, else fp32."""
    eval_every: int = Field(5, ge=1, le=MAX_COUNT)
    """The model is evaluated after every so many epochs, and always after the last."""
    patience: int | None = Field(None, ge=1, le=MAX_COUNT)
    """Training stops after so many evaluations in a row without a better one; null never stops
    early."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Decay of the exponential moving average of the weights that is evaluated and saved; 0 for
    none."""
    interpolation: list[Annotated[float, Field(gt=0, lt=1)]] = Field([])
    """Fractions of the final weights in means of the initial and the final weights, which are
    evaluated too (arXiv 2109.01903). New classes keep their final weights."""
    freeze: int = Field(0, ge=0, le=MAX_COUNT)
    """First layers of the backbone that stay as they are, norms included: of MobileNetV2's 19, of
    MobileNetV3's 17."""
    freeze_norms: bool = False
    """Every BatchNorm keeps its running statistics, as in evaluation; its scale and shift are
    still trained."""
    sync_bn: bool = True
    """BatchNorm takes its statistics over all processes, if several train on GPUs."""
    compile: Literal["off", "on", "auto"] = "auto"
    """Whether forward pass, loss and backward pass are compiled by ``torch.compile``, which takes
    minutes: ``auto`` does so on CUDA in runs of 2,000 steps or more. Unless it is ``off``, steps on
    CUDA are also CUDA graphs, in one process with ``loss.assignment=ssd``, ``train.accumulate=1``
    and another precision than fp16. ``true`` is ``on``, ``false`` is ``off``."""
    save_minutes: float = Field(10.0, gt=0, le=MAX_COUNT)
    """Minutes between checkpoints to resume from within an epoch; one is written after each epoch
    as well."""
    keep_states: int = Field(2, ge=1, le=MAX_COUNT)
    """Number of checkpoints that are kept. An older one serves if the newest is damaged."""
    log_every: int = Field(50, ge=1, le=MAX_COUNT)
    """Steps between the lines of the log without a terminal, and between points of TensorBoard."""
    tensorboard: bool = True
    """Losses, learning rate, metrics and pictures are written for TensorBoard."""

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
                f"accumulate {self.accumulate} leaves less than two images of batch_size"
                f" {self.batch_size} in a part"
            )
        return self


class OptimConfig(Section):
    """The optimiser and its learning rate from step to step."""

    name: Literal["sgd", "adamw"] = "sgd"
    """The optimiser."""
    lr: float = Field(0.05, gt=0, le=MAX_COUNT)
    """Peak learning rate."""
    backbone_lr: float = Field(1.0, gt=0, le=MAX_COUNT)
    """Learning rate of the backbone, as a multiple of the others'."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Learning rate of each backbone layer, as a multiple of that of the next: the first layers,
    which are the most general, change least (BEiT, arXiv 2106.08254, section 3.2)."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD. AdamW has betas of 0.9 and 0.999."""
    weight_decay: float = Field(4e-5, ge=0, le=MAX_COUNT)
    """Weight decay of the convolution weights; norms and biases have none."""
    clip_ratio: float = Field(0.1, gt=0, le=MAX_COUNT)
    """Largest norm of the gradient of a filter, relative to the norm of its weights."""
    warmup_epochs: float = Field(1.0, ge=0, le=MAX_COUNT)
    """Epochs in which the learning rate rises linearly from near 0."""
    schedule: Literal["cosine", "multistep"] = "cosine"
    """After the warm-up, the learning rate falls to 0 along half a cosine, or is multiplied by
    ``gamma`` at each milestone."""
    milestones: list[float] = Field([0.67, 0.9])
    """Milestones of ``multistep``, as fractions of the epochs."""
    gamma: float = Field(0.1, gt=0, lt=1)
    """Factor of the learning rate at each milestone."""

    @field_validator("milestones")
    @classmethod
    def _fractions(cls, milestones: list[float]) -> list[float]:
        if not all(0 < fraction < 1 for fraction in milestones):
            raise ValueError(f"{milestones} are not fractions of the epochs, between 0 and 1")
        return milestones


class LossConfig(Section):
    """Which priors learn an object, how many negatives are used, and what is minimised."""

    assignment: Literal["ssd", "tal"] = "ssd"
    """``ssd``: priors that overlap an object are positive. ``tal``: those whose predicted scores
    and boxes suit it (task alignment, arXiv 2108.07755), which needs ``model.scores`` ``sigmoid``;
    all others are negatives."""
    classification: Literal["cross_entropy", "quality"] = "cross_entropy"
    """``cross_entropy`` of the ``model.scores``. ``quality``: quality focal loss (arXiv
    2006.04388), for ``tal``."""
    localisation: Literal["smooth_l1", "giou"] = "smooth_l1"
    """``smooth_l1`` of the offsets, or ``giou``: the generalised IoU of the boxes (arXiv
    1902.09630)."""
    match_iou: float = Field(0.5, gt=0, lt=1)
    """A prior is positive if its IoU with an object is at least this; with ``tal`` it only
    decides about difficult objects."""
    negative_ratio: float = Field(3.0, gt=0, le=MAX_COUNT)
    """Number of hardest negatives for each positive prior of an image, for ``ssd``."""
    min_negatives: int = Field(3, ge=0, le=MAX_COUNT)
    """Minimum number of negatives of an image, so that images without objects count, for
    ``ssd``."""

    @model_validator(mode="after")
    def _quality_is_aligned(self) -> "LossConfig":
        if self.classification == "quality" and self.assignment != "tal":
            raise ValueError("classification quality needs assignment tal")
        return self


class AugmentConfig(Section):
    """Augmentation of training images."""

    preset: Literal["none", "photometric", "ssdlite", "ssd"] = "ssdlite"
    """``photometric`` changes brightness, contrast, saturation and hue, and flips; ``ssdlite``
    crops and flips; ``ssd`` does all of that, and changes the order of the channels and zooms
    out."""
