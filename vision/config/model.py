"""Section ``model``: the network, its priors and its post-processing."""

from typing import Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from vision.config.section import MAX_COUNT, NetworkSize, Section

WIDTH_MULTS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Width multipliers for which published MobileNetV2 weights exist."""


class Preset(NamedTuple):
    """Requirements of a preset on the other keys of ``model``.

    Attributes:
        backbone: The backbone that the preset modifies; None if it works with any.
        side: The only image side, in pixels, that its priors are defined for; None for any side.
        takes_fpn: Whether it has priors for the neck ``fpn``.
        scores: The default of ``model.scores``.
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
    """Prior boxes (anchors); their scales are fractions of the image's sides."""

    min_scale: float = Field(0.2, gt=0)
    """Scale of the priors on the finest feature map. It should suit the smallest objects in your
    data; ``ssdlite priors`` suggests a value."""
    max_scale: float = Field(0.95, le=1)
    """Scale of the priors on the coarsest feature map."""
    fit: bool = Field(default=False, exclude=True)
    """Fit both scales to the training data, except if the initial weights are a detector's, whose
    priors are kept, or if the gain is too small. ``model.priors=auto`` is short for it."""

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
    """Boxes whose score is not above this are dropped before non-maximum suppression (NMS). It is
    low by default because mAP also counts detections with low scores."""
    nms_iou: float = Field(0.5, gt=0, le=1)
    """NMS drops a box if its IoU with a box of the same class and a higher score exceeds this."""
    max_candidates: int = Field(1000, ge=1, le=MAX_COUNT)
    """Maximum number of (prior, class) pairs per image that enter NMS, best scores first."""
    max_per_class: int | None = Field(None, ge=1, le=MAX_COUNT)
    """Maximum number of these pairs for each class; null for no limit."""
    max_detections: int = Field(100, ge=1, le=MAX_COUNT)
    """Maximum number of detections per image."""
    suppression: Literal["nms", "soft_nms"] = "nms"
    """``nms`` drops overlapping boxes; ``soft_nms`` lowers their scores instead."""
    class_agnostic: bool = False
    """Whether boxes of different classes suppress each other too."""
    soft_nms_sigma: float = Field(0.5, gt=0, le=MAX_COUNT)
    """Strength of ``soft_nms``: the smaller the value, the more an overlap lowers a score."""


class ModelConfig(Section):
    """The network and the weights it starts from."""

    backbone: Literal["mobilenet_v2", "mobilenet_v3_large"] = "mobilenet_v2"
    """The network that computes the feature maps."""
    neck: Literal["none", "fpn"] = "none"
    """``fpn`` adds a feature pyramid before the heads, and priors on the map of stride 8; set
    ``priors.min_scale`` to a small value such as 0.06 with it. It helps with small objects."""
    preset: Literal[tuple(PRESETS)] = "ssdlite"  # type: ignore[valid-type]
    """Which project's variant of the network to build, to use weights that the project trained."""
    scores: Literal["softmax", "sigmoid"] | None = None
    """How logits become scores: ``softmax`` over the classes and background, or ``sigmoid`` of each
    class. Null takes the preset's: ``sigmoid`` for ``tensorflow``, ``softmax`` for the others."""
    init: str | None = None
    """Weights that training starts from: ``coco`` or ``voc`` (in the package), a weights file, a
    run folder, ``hf://user/name``, or ``imagenet``; ``none`` for random weights. Keys that describe
    the network, such as ``backbone``, are taken from the weights unless you set them."""
    init_heads: bool = True
    """Whether the class and box heads also start from the weights of ``init``, or at random."""
    image_size: NetworkSize = (320, 320)
    """Size in pixels to which images are resized: one number or [height, width]; multiples of 32
    from 128 to 640, or 300. Larger images show more detail and take longer."""
    width_mult: float = 1.0
    """Width multiplier, a factor for the number of channels in the backbone: 0.25, 0.35, 0.5, 0.75,
    1.0, 1.3 or 1.4."""
    activation: Literal["relu6", "relu"] = "relu6"
    """Activation function of MobileNetV2, the extra layers, the neck and the heads. MobileNetV3 has
    its own."""
    priors: PriorsConfig = PriorsConfig()
    postprocess: PostProcessConfig = PostProcessConfig()

    @model_validator(mode="after")
    def _preset_fits(self) -> "ModelConfig":
        backbone, side, takes_fpn, _ = PRESETS[self.preset]
        if backbone not in {None, self.backbone}:
            raise ValueError(
                f"preset {self.preset} is a variant of {backbone}; set model.backbone={backbone}"
            )
        if self.has_fixed_priors and self.priors != PriorsConfig():
            raise ValueError(f"preset {self.preset} has priors of its own; leave priors out")
        if self.neck == "fpn" and not takes_fpn:
            raise ValueError(f"preset {self.preset} has no priors for neck fpn; set neck=none")
        if side is not None and self.image_size != (side, side):
            raise ValueError(
                f"preset {self.preset} has priors for images of {side} pixels only; set"
                f" model.image_size={side}"
            )
        return self

    @property
    def has_fixed_priors(self) -> bool:
        """Whether the preset has fixed priors for one image size, without scales to set."""
        return PRESETS[self.preset].side is not None

    @property
    def score_function(self) -> Literal["softmax", "sigmoid"]:
        """How logits become scores: ``scores`` if it is set, else the preset's default."""
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
            raise ValueError(f"expected one of {', '.join(map(str, WIDTH_MULTS))}")
        return width_mult
