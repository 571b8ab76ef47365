"""The weights file: safetensors whose metadata hold all that evaluation and detection need."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from vision.atomic import replacing
from vision.config import Config, ModelConfig
from vision.errors import WeightsError, first_line
from vision.model.build import build_model
from vision.model.ssdlite import SSDLite
from vision.weights.checks import check_finite, check_fit
from vision.weights.locate import BEST, find_weights, refuse_pickle
from vision.weights.migration import (
    BACKBONE_FORMATS,
    DETECTOR_FORMATS,
    migrate_keys,
    parse_metadata,
)


@dataclass(frozen=True, slots=True)
class SavedDetector:
    """The content of a detector's weights file.

    Attributes:
        model: The network with its weights, on the CPU, in evaluation mode.
        config: The configuration it was trained with.
        names: Class names in label order.
        training: How it was trained: epoch, metrics, versions.
        norms_folded: Whether the weights come from convolutions into which BatchNorm was folded,
            so that its statistics are lost.
    """

    model: SSDLite
    config: Config
    names: list[str]
    training: dict[str, Any]
    norms_folded: bool = False


@dataclass(frozen=True, slots=True)
class SavedBackbone:
    """A backbone without the rest of a detector, from which training can start.

    Attributes:
        tensors: The backbone's tensors by their keys in a detector.
        config: The network that the backbone fits.
        training: The origin of the weights.
    """

    tensors: dict[str, Tensor]
    config: ModelConfig
    training: dict[str, Any]


def save_backbone(path: Path, saved: SavedBackbone) -> None:
    """Write a backbone's file; an existing file stays intact until the new one is complete."""
    config, training = Config(model=saved.config).model_dump_json(), json.dumps(saved.training)
    metadata = {"format": BACKBONE_FORMATS[-1], "config": config, "training": training}
    _write(path, saved.tensors, metadata)


def save_weights(
    path: Path,
    model: SSDLite,
    config: Config,
    names: Sequence[str],
    training: Mapping[str, Any],
    *,
    norms_folded: bool = False,
) -> None:
    """Write a weights file; an existing file stays intact until the new one is complete.

    Args:
        path: The file.
        model: The network, built from ``config.model`` for ``len(names)`` classes.
        config: The configuration of the run.
        names: Class names in label order.
        training: How it was trained; anything that JSON can hold.
        norms_folded: As in `SavedDetector`.

    Raises:
        WeightsError: If it cannot be written, e.g. on a full disk; the partial file is removed.
    """
    preprocessing = {
        "channels": "RGB",
        "resize": "stretched to image_size (height, width)",
        "image_size": model.image_size,
        "mean": model.pixel_mean.flatten().tolist(),
        "std": model.pixel_std.flatten().tolist(),
    }
    metadata = {
        "format": DETECTOR_FORMATS[-1],
        "config": config.model_dump_json(),
        "names": json.dumps(list(names)),
        "preprocessing": json.dumps(preprocessing),
        "training": json.dumps({**training, **({"norms_folded": True} if norms_folded else {})}),
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    _write(path, tensors, metadata)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    try:
        with replacing(path) as partial:
            # `save_file` would create a file that only its owner can read.
            partial.write_bytes(save(tensors, metadata))
    except (OSError, safetensors.SafetensorError) as error:
        text = f"weights {path} cannot be written ({first_line(error)}): make room, or choose"
        raise WeightsError(f"{text} another folder; an existing file is unchanged") from error


def load_weights(path: str | Path) -> SavedDetector:
    """Read a detector's weights file; ``path`` is whatever `find_weights` accepts.

    Raises:
        WeightsError: If the file is missing, was not written by this package, holds a backbone
            only, or does not fit its configuration.
    """
    saved = load_any(path)
    if isinstance(saved, SavedDetector):
        return saved
    raise WeightsError(
        f"weights {find_weights(path)} are a backbone without heads, which cannot detect; start"
        " training from them with model.init"
    )


def load_any(path: str | Path) -> SavedDetector | SavedBackbone:
    """Read the weights file of a detector or of a backbone.

    Raises:
        WeightsError: As in `load_weights`, except for a backbone.
    """
    path = find_weights(path)
    where = f"weights {path}"
    try:
        # "numpy", since with "pt" opening alone takes as much memory as the size of the file.
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            is_backbone = _is_backbone(metadata, where)
            if is_backbone:
                metadata = {**metadata, "names": "[]"}
            config, names, training = parse_metadata(metadata, where)
            keys = migrate_keys({key: key for key in file.keys()})  # noqa: SIM118
            # Shapes are compared before tensors, or the heads of many names, take memory.
            with torch.device("meta"):
                model = build_model(config.model, len(names))
            part = model.backbone.state_dict(prefix="backbone.") if is_backbone else None
            found = {key: file.get_slice(name) for key, name in keys.items()}
            check_fit(part or model.state_dict(), found, where)
        tensors = migrate_keys(load_file(path))
    except (safetensors.SafetensorError, OSError) as error:
        refuse_pickle(path)
        raise WeightsError(
            f"{where} cannot be read as safetensors ({error}); pass a file that training wrote,"
            f" such as {BEST}"
        ) from error
    check_finite(tensors, where)
    if is_backbone:
        return SavedBackbone(tensors, config.model, training)
    model.to_empty(device="cpu").load_state_dict(tensors)
    model.priors = model.priors_at(model.image_size)
    is_folded = bool(training.pop("norms_folded", False))
    return SavedDetector(model.eval(), config, names, training, is_folded)


def _is_backbone(metadata: Mapping[str, str], where: str) -> bool:
    kind = metadata.get("format")
    if kind not in DETECTOR_FORMATS + BACKBONE_FORMATS:
        raise WeightsError(
            f"{where}: expected metadata format {DETECTOR_FORMATS[-1]}, found {kind!r:.50}; this"
            " file was not written by ssdlite"
        )
    return kind in BACKBONE_FORMATS
