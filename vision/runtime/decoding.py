"""Data with which other programs turn the outputs of a graph into detections."""

# P priors

import json
from pathlib import Path
from typing import Any

import numpy as np

import vision.boxes as box_ops
from vision.config import ModelConfig
from vision.model import SSDLite, build_post_process


def decoding_of(config: ModelConfig) -> dict[str, Any]:
    """Return the input size, how outputs become boxes and scores, and the suppression's settings.

    ``docs/examples/plain_numpy.md`` explains each key, and shows the arithmetic in NumPy.
    """
    post_process = build_post_process(config)
    return {
        "image_size": list(config.image_size),
        "scores": config.score_function,
        "center_variance": box_ops.CENTRE_VARIANCE,
        "size_variance": box_ops.SIZE_VARIANCE,
        "max_log_ratio": box_ops.MAX_LOG_RATIO,
        **{name: getattr(post_process, name) for name in post_process.__slots__},
    }


def write_decoding(stem: Path, network: SSDLite, names: list[str], config: ModelConfig) -> None:
    """Write what the form ``raw`` lacks: ``STEM.decoding.json`` and ``STEM.priors.npy``.

    The priors are (P, 4), float32: centre x, centre y, width and height as fractions of the image's
    sides, in the order of the graph's rows. The JSON file also contains them, the class names, and
    the result of `decoding_of`.
    """
    priors = network.priors.float().numpy()
    content = {**decoding_of(config), "names": names, "priors": np.round(priors, 7).tolist()}
    stem.with_name(f"{stem.name}.decoding.json").write_text(json.dumps(content), encoding="utf-8")
    np.save(stem.with_name(f"{stem.name}.priors.npy"), priors)
