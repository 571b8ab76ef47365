"""The weights file: safetensors with all that evaluation and detection need in its metadata."""

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
    """What a weights file holds.

    Attributes:
        model: The network with its weights, on the CPU, in evaluation mode.
        config: The configuration it was trained with.
        names: Class names in label order.
        training: How it was trained: epoch, metrics, versions.
        norms_folded: Whether BatchNorm came folded into the convolutions, its statistics lost.
    """

    model: SSDLite
    config: Config
    names: list[str]
    training: dict[str, Any]
    norms_folded: bool = False


@dataclass(frozen=True, slots=True)
class SavedBackbone:
    """A backbone alone, which a training can start from.

    Attributes:
        tensors: By the keys that they have in a detector.
        config: The network it fits.
        training: Where it comes from.
    """

    tensors: dict[str, Tensor]
    config: ModelConfig
    training: dict[str, Any]


def save_backbone(path: Path, saved: SavedBackbone) -> None:
    """Write a file of a backbone; an older one stays intact until the new one is."""
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
    """Write a weights file; an older one stays intact until the new one is.

    Args:
        path: The file.
        model: The network; built from ``config.model`` for ``len(names)`` classes.
        config: The configuration of the run.
        names: Class names in label order.
        training: How it was trained; anything that JSON can hold.
        norms_folded: As in `SavedDetector`.

    Raises:
        WeightsError: If it cannot be written, as on a full disk; the partial file is removed.
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
            # save_file makes files that only their owner can read.
            partial.write_bytes(save(tensors, metadata))
    except (OSError, safetensors.SafetensorError) as error:
        text = f"weights {path} cannot be written ({first_line(error)}); an older file is intact:"
        raise WeightsError(f"{text} make room, or name another folder") from error


def load_weights(path: str | Path) -> SavedDetector:
    """Read a weights file of a detector; `find_weights` says what ``path`` may be.

    Raises:
        WeightsError: If it is missing, not one of ours, a backbone's, or does not fit its config.
    """
    saved = load_any(path)
    if isinstance(saved, SavedDetector):
        return saved
    raise WeightsError(
        f"weights {find_weights(path)} are a backbone without heads; start a training from them"
        " with model.init"
    )


def load_any(path: str | Path) -> SavedDetector | SavedBackbone:
    """Read a file of a detector or of a backbone.

    Raises:
        WeightsError: As `load_weights`.
    """
    path = find_weights(path)
    where = f"weights {path}"
    try:
        # For NumPy, since for PyTorch opening takes as much memory as the file is long.
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            is_backbone = _is_backbone(metadata, where)
            if is_backbone:
                metadata = {**metadata, "names": "[]"}
            config, names, training = parse_metadata(metadata, where)
            keys = migrate_keys({key: key for key in file.keys()})  # noqa: SIM118
            # Shapes are compared before tensors, or a count of names, take memory.
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
