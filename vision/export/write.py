"""Export a detector as a graph, and compare the file that was written with PyTorch."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from vision.atomic import temporary_folder
from vision.choices import BACKEND_ALIASES, CALIBRATED, FORMS_OF
from vision.data import read_synthetic
from vision.errors import ConfigError, WeightsError
from vision.export.compare import MAX_HALF_SCORE_ERROR, MAX_SCORE_ERROR, Agreement, compare, require
from vision.images import read_image, resize
from vision.model import SSDLite, build_post_process, fuse
from vision.runtime import (
    Form,
    GraphBackend,
    Metadata,
    Precision,
    Runner,
    RuntimeOptions,
    get_graph_backend,
)
from vision.runtime.decoding import write_decoding
from vision.runtime.graphs import graph_input
from vision.weights import SavedDetector

logger = logging.getLogger(__name__)

Images = Sequence[UInt8[ndarray, "H W 3"]]

DEFAULT_IMAGES = "synthetic scenes and crops of a sample photograph"
"""Description of `default_images` for messages."""
NUM_COMPARED = 64
"""Maximum number of images on which the commands compare a graph with PyTorch."""
NUM_CALIBRATED = 300
"""Maximum number of images on which the commands calibrate int8."""


def default_images(count: int, size: tuple[int, int]) -> list[UInt8[ndarray, "H W 3"]]:
    """Images of ``size`` (height, width): synthetic scenes, alternating with crops of a portrait.

    The portrait is matplotlib's sample photograph, if it is installed; it shows a person, a class
    that detectors of everyday objects know.
    """
    scenes = [record.read() for record in read_synthetic(count, 0, size).records]
    path = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    if path.is_file():
        photo, rng = read_image(path), np.random.default_rng(0)
        for index in range(0, count, 2):
            top, left = rng.integers(0, np.array(photo.shape[:2]) // 4)
            scenes[index] = resize(np.ascontiguousarray(photo[top:, left:]), size)
    return scenes


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """The kind of graph to export.

    Attributes:
        backend: A name in `vision.runtime.graph_backends`, or an alias.
        form: A key of `vision.runtime.FORMS`.
        precision: ``fp32``; ``fp16``, which stores weights in half the space, while runtimes choose
            in which precision they compute; or a quantised one, such as ``int8``.
    """

    backend: str
    form: Form = "decoded"
    precision: Precision = "fp32"

    def check(self) -> GraphBackend:
        """Return the backend, after a check that it writes files of this form and precision.

        Raises:
            ConfigError: If it does not.
        """
        backend = get_graph_backend(self.backend)
        for what, value, known in (
            ("form", self.form, backend.forms),
            ("precision", self.precision, backend.file_precisions),
            (f"precision {self.precision} with form", self.form, self.forms),
        ):
            if value not in known:
                raise ConfigError(
                    f"{what} {value} is not for files of {backend.title}; take one of"
                    f" {', '.join(known)}"
                )
        return backend

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms in which the backend writes files of this precision."""
        name = BACKEND_ALIASES.get(self.backend, self.backend)
        return FORMS_OF.get((name, self.precision), get_graph_backend(name).forms)

    def file(self, folder: Path, stem: str) -> Path:
        """The path of the file, such as ``W_decoded_fp32.onnx``; raises the errors of `check`."""
        return folder / f"{stem}_{self.form}_{self.precision}{self.check().suffix}"


@dataclass(frozen=True, slots=True)
class Export:
    """An exported graph.

    Attributes:
        path: The graph's file; OpenVINO's weights are next to it in a .bin file.
        agreement: Agreement with PyTorch in float32 with the same weights: for fp16, the weights
            rounded to float16.
        rounding: For fp16, the agreement with the weights before they were rounded; else None.
    """

    path: Path
    agreement: Agreement
    rounding: Agreement | None = None


def export_detector(
    saved: SavedDetector, spec: ExportSpec, path: Path, images: Images, calibration: Images = ()
) -> Export:
    """Write a graph, run it and compare it with PyTorch.

    Args:
        saved: The detector's weights.
        spec: The kind of graph to write.
        path: The file, which is only written if the graph agrees with PyTorch.
        images: Images of the network's input size, to compare on.
        calibration: Images of the same size, to calibrate int8 on; other precisions need none.

    Raises:
        ConfigError: If a package or the calibration images are missing, or the form or precision
            is not available.
        WeightsError: If the graph does not give the same detections as PyTorch or there are none to
            compare (neither is required of int8, which average precision judges), or it cannot be
            written.
    """
    backend = spec.check()
    is_half, is_calibrated = spec.precision == "fp16", spec.precision in CALIBRATED
    if is_calibrated and not calibration:
        raise ConfigError(f"precision {spec.precision} needs images to calibrate on")
    metadata = Metadata(spec.form, spec.precision, saved.config, saved.names, saved.training)
    network = fuse(saved.model)
    references = [network]
    if is_half:
        references.append(fuse(saved.model))
        _round_weights(network)
    post_process = build_post_process(saved.config.model)
    tolerance = MAX_HALF_SCORE_ERROR if is_half else MAX_SCORE_ERROR
    inputs = [graph_input(spec.form, image[None]) for image in calibration] if is_calibrated else []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            runner = _write_draft(backend, folder / path.name, network, metadata, inputs)
            agreement, *rounding = (
                compare(runner, spec.form, reference, post_process, images, tolerance)
                for reference in references
            )
            if not spec.precision.startswith("int8"):
                require(agreement, path.name, tolerance)
            for part in sorted(folder.iterdir()):
                part.replace(path.parent / part.name)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror or error}") from error
    return Export(path, agreement, *rounding)


def _write_draft(
    backend: GraphBackend,
    path: Path,
    network: SSDLite,
    metadata: Metadata,
    calibration: Sequence[ndarray],
) -> Runner:
    """Write the graph and open it for the comparison; also write the decoding of form ``raw``."""
    logger.info("writing the graph for %s, which takes up to a minute", backend.title)
    backend.write(path, network, metadata, calibration)
    if metadata.form == "raw":
        stem = path.with_name(path.name.removesuffix(backend.suffix))
        write_decoding(stem, network, metadata.names, metadata.config.model)
    backend.read_metadata(path)  # raises an error if the file could not be loaded again
    return backend.open(path, RuntimeOptions())


@torch.no_grad()
def _round_weights(network: SSDLite) -> None:
    """Round weights, biases and priors in place to values of float16; they stay float32."""
    for tensor in (*network.parameters(), network.priors):
        tensor.copy_(tensor.half())
