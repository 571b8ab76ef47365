"""The configuration of a run: YAML files with ``_base_``, checked models, ``key=value`` overrides.

Names in a file or an override are the attributes below, dotted: ``train.epochs=50``. All errors
of a configuration are reported at once. Scalars follow YAML 1.2: ``1e-3`` is a number, and ``no``
and ``on`` are words, not booleans.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

__all__ = [
    "PRIOR_SIDES",
    "WIDTH_MULTS",
    "AugmentConfig",
    "CocoSource",
    "Config",
    "DataConfig",
    "DataSource",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "PostProcessConfig",
    "PriorsConfig",
    "SmallConfig",
    "Source",
    "SyntheticSource",
    "TrainConfig",
    "VocSource",
]

WIDTH_MULTS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Width multipliers for which published MobileNetV2 weights exist."""


PRIOR_SIDES = {"qfgaohao": 300, "mmdetection": 320, "lufficc": 320}
"""Image sides of the presets that have priors of their own, laid out for it."""

PRESET_BACKBONES = {
    "torchvision": "mobilenet_v2",
    "torchvision_v3": "mobilenet_v3_large",
    "torchvision_ssdlite": "mobilenet_v3_large",
    "tensorflow": "mobilenet_v2",
    "qfgaohao": "mobilenet_v2",
    "mmdetection": "mobilenet_v2",
    "lufficc": "mobilenet_v2",
}
"""The backbone that each preset of another project is a variant of."""


class Section(BaseModel):
    """A part of the configuration: frozen, without unknown keys, without conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _height_width(value: Any) -> Any:  # noqa: ANN401
    """One number for a square; a list as YAML gives it to the tuple that the model holds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("expected one whole number or [height, width]")
    return tuple(value)


Size: TypeAlias = Annotated[tuple[int, int], BeforeValidator(_height_width)]


def _known_sides(size: tuple[int, int]) -> tuple[int, int]:
    for side in size:
        if side != 300 and (side % 32 or not 128 <= side <= 640):
            raise ValueError(f"{side} is neither a multiple of 32 from 128 to 640 nor 300")
    return size


NetworkSize: TypeAlias = Annotated[Size, AfterValidator(_known_sides)]


class PriorsConfig(Section):
    """Prior boxes, whose sizes are fractions of the image's sides."""

    min_scale: float = Field(0.2, gt=0)
    """Scale of the finest level's priors. Choose it for the data's small objects."""
    max_scale: float = Field(0.95, le=1)
    """Scale of the coarsest level's priors."""
    fit: bool = Field(default=False, exclude=True)
    """Both scales are fitted to the training data, unless a detector's weights keep their own or
    it pays too little. ``model.priors=auto`` says the same."""

    @model_validator(mode="after")
    def _rising(self) -> "PriorsConfig":
        if self.fit and self.model_fields_set & {"min_scale", "max_scale"}:
            raise ValueError("fit chooses min_scale and max_scale; leave them out")
        if self.min_scale >= self.max_scale:
            raise ValueError(f"min_scale {self.min_scale} is not below max_scale {self.max_scale}")
        return self


class PostProcessConfig(Section):
    """How predictions become detections."""

    score_threshold: float = Field(0.01, ge=0, lt=1)
    """Detections with a lower score are dropped before suppression. It is low because mAP counts
    those of low scores too."""
    nms_iou: float = Field(0.5, gt=0, le=1)
    """A box is dropped if its IoU with a better one of its class is larger than this."""
    max_candidates: int = Field(1000, ge=1)
    """Number of the best (prior, class) pairs of an image that suppression works on."""
    max_per_class: int | None = Field(None, ge=1)
    """Most pairs of one class among them; null for any number."""
    max_detections: int = Field(100, ge=1)
    """Most detections of an image."""
    suppression: Literal["nms", "soft_nms"] = "nms"
    """``soft_nms`` lowers the score of overlapping boxes instead of dropping them."""
    class_agnostic: bool = False
    """Boxes of different classes suppress each other too."""
    soft_nms_sigma: float = Field(0.5, gt=0)
    """Parameter of ``soft_nms``: the smaller, the more an overlap lowers a score."""


class ModelConfig(Section):
    """The network and what belongs to it."""

    backbone: Literal["mobilenet_v2", "mobilenet_v3_large"] = "mobilenet_v2"
    """The network that gives the feature maps."""
    neck: Literal["none", "fpn"] = "none"
    """``fpn``: a feature pyramid before the heads, and priors on the map of stride 8 too, for which
    ``priors.min_scale`` should be small."""
    preset: Literal[
        "ssdlite",
        "torchvision",
        "torchvision_v3",
        "torchvision_ssdlite",
        "tensorflow",
        "qfgaohao",
        "mmdetection",
        "lufficc",
    ] = "ssdlite"
    """Whose variant of the network: for weights that another project has trained."""
    init: str | None = None
    """Weights that training starts from: ``coco`` or ``voc`` (in the package), a weights file, a
    run folder, or ``imagenet``; ``none`` for random ones. Keys of the network that are not set are
    those of the weights."""
    image_size: NetworkSize = (320, 320)
    """One number or [height, width]; multiples of 32 from 128 to 640, or 300."""
    width_mult: float = 1.0
    """Width multiplier of the backbone."""
    activation: Literal["relu6", "relu"] = "relu6"
    """Of the extra layers, the neck, the heads and MobileNetV2; MobileNetV3 has activations of its
    own."""
    priors: PriorsConfig = PriorsConfig()
    postprocess: PostProcessConfig = PostProcessConfig()

    @model_validator(mode="after")
    def _preset_fits(self) -> "ModelConfig":
        backbone = PRESET_BACKBONES.get(self.preset, self.backbone)
        if self.backbone != backbone:
            raise ValueError(
                f"preset {self.preset} is a variant of {backbone}, not {self.backbone}"
            )
        if self.preset in PRIOR_SIDES and self.priors != PriorsConfig():
            raise ValueError(f"preset {self.preset} has priors of its own; leave priors out")
        if self.preset in {*PRIOR_SIDES, "tensorflow"} and self.neck == "fpn":
            raise ValueError(f"preset {self.preset} has no priors for neck fpn")
        side = PRIOR_SIDES.get(self.preset)
        if side is not None and self.image_size != (side, side):
            raise ValueError(
                f"preset {self.preset} has its priors laid out for {side} pixels; set"
                f" model.image_size={side}"
            )
        return self

    @field_validator("priors", mode="before")
    @classmethod
    def _auto_is_fit(cls, priors: object) -> object:
        return {"fit": True} if priors == "auto" else priors

    @field_validator("init")
    @classmethod
    def _none_is_null(cls, init: str | None) -> str | None:
        return None if init == "none" else init

    @field_validator("width_mult")
    @classmethod
    def _known_width(cls, width_mult: float) -> float:
        if width_mult not in WIDTH_MULTS:
            raise ValueError(f"{width_mult} is none of {', '.join(map(str, WIDTH_MULTS))}")
        return width_mult


def _check_given(source: "VocSource | CocoSource") -> None:
    missing = [key for key in ("root", "split") if getattr(source, key) is None]
    if missing and not (source.annotations and source.images):
        said = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise ValueError(f"{said}; give root and split, or annotations and images")


class VocSource(Section):
    """PASCAL VOC's layout: ``root`` and ``split`` are needed, or ``annotations`` and ``images``."""

    format: Literal["voc"]
    """PASCAL VOC's layout."""
    root: str | None = None
    """The folder that holds ``JPEGImages/``, ``Annotations/`` and ``ImageSets/Main/``."""
    split: str | None = None
    """``train`` reads ``ImageSets/Main/train.txt``. A name that ends in ``.txt`` is a file that
    lists the images, or a list in the package, such as ``voc2007test_3500.txt``. With
    ``annotations`` and ``images`` it may be left out: all XML files are read then."""
    annotations: str | None = None
    """Folder of the XML files, if it is not ``Annotations``; below ``root`` or a path."""
    images: str | None = None
    """Folder of the images, if it is not ``JPEGImages``; below ``root`` or a path."""

    @model_validator(mode="after")
    def _can_be_found(self) -> "VocSource":
        _check_given(self)
        if self.split is not None and self.root is None:
            raise ValueError("root is missing; split is a list in it, so give root, or no split")
        return self


class CocoSource(Section):
    """COCO's layout: ``root`` and ``split`` are needed, or ``annotations`` and ``images``."""

    format: Literal["coco"]
    """COCO's layout."""
    root: str | None = None
    """The folder that holds ``annotations/`` and one folder of images a split."""
    split: str | None = None
    """``train`` reads ``annotations/instances_train.json`` and images in ``train/``."""
    annotations: str | None = None
    """The JSON file, if it is not the one of the split; below ``root`` or a path."""
    images: str | None = None
    """Folder of the images, if it is not the split's; below ``root`` or a path."""

    @model_validator(mode="after")
    def _can_be_found(self) -> "CocoSource":
        _check_given(self)
        return self


class SyntheticSource(Section):
    """Synthetic scenes of simple shapes, rendered on the fly; no file is read."""

    format: Literal["synthetic"]
    """Synthetic data."""
    num_images: int = Field(ge=1)
    """Number of scenes."""
    seed: int = Field(0, ge=0)
    """Seed of the scenes."""
    image_size: Size = (192, 192)
    """Size of the scenes: one number or [height, width]."""


Source: TypeAlias = Annotated[
    VocSource | CocoSource | SyntheticSource, Field(discriminator="format")
]


def _one_or_many(value: object) -> str:
    return "many" if isinstance(value, list) else "one"


DataSource: TypeAlias = Annotated[
    Annotated[Source, Tag("one")] | Annotated[list[Source], Tag("many")],
    Discriminator(_one_or_many),
]


class DataConfig(Section):
    """Where images and boxes come from."""

    train: DataSource | None = None
    """Training data: one source, or a list of them."""
    val: DataSource | None = None
    """Validation data: one source, or a list of them. Without any, nothing is evaluated and the
    last weights count as the best."""
    classes: list[str] | None = None
    """Class names in label order. Boxes of other classes are left out and counted. With null, the
    classes are those of the training data."""
    cache: str | None = None
    """Folder for decoded training images, so that each is decoded once."""

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str] | None) -> list[str] | None:
        if classes is not None and not classes:
            raise ValueError("it is empty; name a class, or write null to discover them")
        twice = sorted({name for name in classes or [] if (classes or []).count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return classes


class SmallConfig(Section):
    """Smaller images in the first epochs, which take less time."""

    epochs: int = Field(0, ge=0)
    """Number of first epochs that use them; the others use ``model.image_size``."""
    image_size: NetworkSize = (224, 224)
    """One number or [height, width]; multiples of 32 from 128 to 640, or 300."""


class TrainConfig(Section):
    """How long training takes, on how many images at once, and where."""

    epochs: int = Field(100, ge=1)
    """Number of passes over the training images."""
    small: SmallConfig = SmallConfig()
    batch_size: int = Field(32, ge=2)
    """Images of a step, over all processes. Each process needs 2 or more, since BatchNorm cannot
    normalise the last feature maps, of one pixel, from a single image."""
    accumulate: int = Field(1, ge=1)
    """Number of parts in which the images of a step go through the network, to save memory."""
    workers: int = Field(2, ge=0)
    """Processes that read and augment images, for each process that trains. Results do not depend
    on their number."""
    recipe: Literal["fixed", "auto"] = "fixed"
    """With ``auto``, epochs, batch size, learning rate, augmentation and frozen layers are chosen
    for the data and the initial weights, unless they are set."""
    seed: int = Field(0, ge=0)
    """Seed of everything random in the run."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: CUDA if there is a GPU, else the CPU."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """``auto`` is bf16 autocast where the device has bf16 arithmetic in hardware, else fp32."""
    eval_every: int = Field(5, ge=1)
    """The model is evaluated after every so many epochs, and always after the last."""
    patience: int | None = Field(None, ge=1)
    """Training stops after so many evaluations in a row without a better one; null never stops
    early."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Decay of the exponential moving average of the weights that is evaluated and saved; 0 for
    none."""
    interpolation: list[Annotated[float, Field(gt=0, lt=1)]] = []
    """Fractions of the final weights in means of the initial and the final weights, which are
    evaluated too (arXiv 2109.01903). New classes keep their final weights."""
    freeze: int = Field(0, ge=0)
    """First layers of the backbone that stay as they are, norms included: of MobileNetV2's 19, of
    MobileNetV3's 17."""
    freeze_norms: bool = False
    """Every BatchNorm keeps its running statistics, as in evaluation; its scale and shift are
    still trained."""
    sync_bn: bool = True
    """BatchNorm takes its statistics over all processes, if several train on GPUs."""
    compile: bool = False
    """The training step is compiled by ``torch.compile``."""
    save_minutes: float = Field(10.0, gt=0)
    """Minutes between checkpoints to resume from within an epoch; one is written after each epoch
    as well."""
    keep_states: int = Field(2, ge=1)
    """Number of checkpoints that are kept. An older one serves if the newest is damaged."""
    log_every: int = Field(50, ge=1)
    """Steps between the lines of the log without a terminal, and between points of TensorBoard."""
    tensorboard: bool = True
    """Losses, learning rate, metrics and pictures are written for TensorBoard."""

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
    lr: float = Field(0.05, gt=0)
    """Peak learning rate."""
    backbone_lr: float = Field(1.0, gt=0)
    """Learning rate of the backbone, as a multiple of the others'."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Learning rate of each backbone layer, as a multiple of that of the next: the first layers,
    which are the most general, change least (BEiT, arXiv 2106.08254, section 3.2)."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD. AdamW has betas of 0.9 and 0.999."""
    weight_decay: float = Field(4e-5, ge=0)
    """Weight decay of the convolution weights; norms and biases have none."""
    clip_ratio: float = Field(0.1, gt=0)
    """Largest norm of the gradient of a filter, relative to the norm of its weights."""
    warmup_epochs: float = Field(1.0, ge=0)
    """Epochs in which the learning rate rises linearly from near 0."""
    schedule: Literal["cosine", "multistep"] = "cosine"
    """After the warm-up, the learning rate falls to 0 along half a cosine, or is multiplied by
    ``gamma`` at each milestone."""
    milestones: list[float] = [0.67, 0.9]
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
    """How priors are matched with objects, and how many negatives are used."""

    match_iou: float = Field(0.5, gt=0, lt=1)
    """A prior is positive if its IoU with an object is at least this."""
    negative_ratio: float = Field(3.0, gt=0)
    """Number of hardest negatives for each positive prior of an image."""
    min_negatives: int = Field(3, ge=0)
    """Fewest negatives of an image, so that images without objects count too."""


class AugmentConfig(Section):
    """Augmentation of training images."""

    preset: Literal["none", "photometric", "ssdlite", "ssd"] = "ssdlite"
    """``photometric`` is photometric distortion and flip, without crops; ``ssdlite`` is IoU crop
    and flip; ``ssd`` is photometric distortion, zoom-out, IoU crop and flip."""
    on_device: bool = False
    """Flip and photometric distortion run on whole batches, on the device that trains."""


class Config(Section):
    """A whole run."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()

    def image_size_of(self, epoch: int) -> tuple[int, int]:
        """(height, width) of training images in an epoch, counted from 0."""
        small = self.train.small
        return small.image_size if epoch < small.epochs else self.model.image_size

    @model_validator(mode="after")
    def _small_images_fit(self) -> "Config":
        small, whole = self.train.small, self.model.image_size
        if not small.epochs:
            return self
        if self.model.preset in PRIOR_SIDES:
            raise ValueError(
                f"train.small: preset {self.model.preset} has its priors laid out for one size;"
                " leave it out"
            )
        if small.epochs >= self.train.epochs:
            raise ValueError(
                f"train.small.epochs {small.epochs} leaves none of train.epochs"
                f" {self.train.epochs} to images of the whole size"
            )
        if any(side > most for side, most in zip(small.image_size, whole, strict=True)):
            raise ValueError(
                f"train.small.image_size {list(small.image_size)} is larger than"
                f" model.image_size {list(whole)}"
            )
        return self
