"""Section ``model``: the network, its priors and its post-processing."""

from typing import Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from vision.config.section import MAX_COUNT, NetworkSize, Section

WIDTH_MULTS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Width multipliers for which published MobileNetV2 weights exist."""


class Preset(NamedTuple):
    """What a preset asks of the other keys of ``model``.

    Attributes:
        backbone: The backbone that it is a variant of; None for any.
        side: The side of the images that its priors are laid out for; None for any.
        takes_fpn: Whether it has priors for the neck ``fpn``.
        scores: How its logits become scores.
    """

    backbone: str | None = None
    side: int | None = None
    takes_fpn: bool = True
    scores: Literal["softmax", "sigmoid"] = "softmax"


PRESETS = {
    "ssdlite": Preset(),
    "torchvision": Preset("mobilenet_v2"),
    "torchvision_v3": Preset("mobilenet_v3_large"),
    "torchvision_ssdlite": Preset("mobilenet_v3_large"),
    "tensorflow": Preset("mobilenet_v2", takes_fpn=False, scores="sigmoid"),
    "qfgaohao": Preset("mobilenet_v2", 300, takes_fpn=False),
    "mmdetection": Preset("mobilenet_v2", 320, takes_fpn=False),
    "lufficc": Preset("mobilenet_v2", 320, takes_fpn=False),
}


class PriorsConfig(Section):
    """Prior boxes, whose sizes are fractions of the image's sides."""

    min_scale: float = Field(0.2, gt=0)
    """Scale of the finest level's priors. Choose it for the data's small objects, or let ``ssdlite
    priors`` do so."""
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
    max_candidates: int = Field(1000, ge=1, le=MAX_COUNT)
    """Number of the best (prior, class) pairs of an image that suppression works on."""
    max_per_class: int | None = Field(None, ge=1, le=MAX_COUNT)
    """Maximum number of these pairs of one class; null for any number."""
    max_detections: int = Field(100, ge=1, le=MAX_COUNT)
    """Maximum number of detections of an image."""
    suppression: Literal["nms", "soft_nms"] = "nms"
    """``soft_nms`` lowers the score of overlapping boxes instead of dropping them."""
    class_agnostic: bool = False
    """Boxes of different classes suppress each other too."""
    soft_nms_sigma: float = Field(0.5, gt=0, le=MAX_COUNT)
    """Parameter of ``soft_nms``: the smaller, the more an overlap lowers a score."""


class ModelConfig(Section):
    """The network and what belongs to it."""

    backbone: Literal["mobilenet_v2", "mobilenet_v3_large"] = "mobilenet_v2"
    """The network that gives the feature maps."""
    neck: Literal["none", "fpn"] = "none"
    """``fpn``: a feature pyramid before the heads, and priors on the map of stride 8 too, for which
    ``priors.min_scale`` should be small, such as 0.06."""
    preset: Literal[tuple(PRESETS)] = "ssdlite"  # type: ignore[valid-type]
    """Whose variant of the network: for weights that another project has trained."""
    scores: Literal["softmax", "sigmoid"] | None = None
    """How logits become scores: over classes and background, or each class by itself; null for the
    preset's, which is ``softmax`` but for ``tensorflow``."""
    init: str | None = None
    """Weights that training starts from: ``coco`` or ``voc`` (in the package), a weights file, a
    run folder, ``hf://user/name``, or ``imagenet``; ``none`` for random ones. Keys of the network
    that are not set are those of the weights."""
    init_heads: bool = True
    """Whether class and box heads start from those weights too, or at random."""
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
        backbone, side, takes_fpn, _ = PRESETS[self.preset]
        if backbone not in {None, self.backbone}:
            raise ValueError(
                f"preset {self.preset} is a variant of {backbone}, not {self.backbone}"
            )
        if self.has_fixed_priors and self.priors != PriorsConfig():
            raise ValueError(f"preset {self.preset} has priors of its own; leave priors out")
        if self.neck == "fpn" and not takes_fpn:
            raise ValueError(f"preset {self.preset} has no priors for neck fpn")
        if side is not None and self.image_size != (side, side):
            raise ValueError(
                f"preset {self.preset} has its priors laid out for {side} pixels; set"
                f" model.image_size={side}"
            )
        return self

    @property
    def has_fixed_priors(self) -> bool:
        """Whether the preset's priors are laid out for one size, without scales."""
        return PRESETS[self.preset].side is not None

    @property
    def score_function(self) -> Literal["softmax", "sigmoid"]:
        """How logits become scores, by ``scores`` or the preset."""
        return self.scores or PRESETS[self.preset].scores

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
