"""Write a graph, and compare the file on the disk with PyTorch."""

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
"""What `default_images` gives, in words."""
NUM_COMPARED = 64
"""Number of images that the commands compare on."""
NUM_CALIBRATED = 300
"""Number of images that the commands calibrate int8 on."""


def default_images(count: int, size: tuple[int, int]) -> list[UInt8[ndarray, "H W 3"]]:
    """Images of ``size`` (height, width): synthetic scenes in turn with crops of a portrait.

    The portrait is matplotlib's sample photograph; it shows a person, which detectors of everyday
    objects know.
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
    """What to export.

    Attributes:
        backend: A name of `vision.runtime.graph_backends`.
        form: One of `vision.runtime.FORMS`.
        precision: ``fp32``; ``fp16``, which stores weights in half the space, and in which a
            runtime may compute or not; or ``int8``.
    """

    backend: str
    form: Form = "decoded"
    precision: Precision = "fp32"

    def check(self) -> GraphBackend:
        """The backend, which writes files of this form and precision.

        Raises:
            ConfigError: If it writes no files, or none of this form or precision.
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
        """The forms of the backend's files of this precision."""
        name = BACKEND_ALIASES.get(self.backend, self.backend)
        return FORMS_OF.get((name, self.precision), get_graph_backend(name).forms)

    def file(self, folder: Path, stem: str) -> Path:
        """The path of the file: ``W_decoded_fp32.onnx``; raises what ``check`` raises."""
        return folder / f"{stem}_{self.form}_{self.precision}{self.check().suffix}"


@dataclass(frozen=True, slots=True)
class Export:
    """What was written.

    Attributes:
        path: The graph; OpenVINO's weights lie beside it in a .bin file.
        agreement: With PyTorch in float32, of the same weights: for fp16, of those rounded to it.
        rounding: For fp16: how the graph differs from the weights before they were rounded.
    """

    path: Path
    agreement: Agreement
    rounding: Agreement | None = None


def export_detector(
    saved: SavedDetector, spec: ExportSpec, path: Path, images: Images, calibration: Images = ()
) -> Export:
    """Write a graph, run it and compare it with PyTorch.

    Args:
        saved: The weights.
        spec: What to make of them.
        path: The file, which is only written if the graph agrees.
        images: Of the network's size, to compare on.
        calibration: Of the network's size, for int8.

    Raises:
        ConfigError: If a package is missing, or the form or precision is not available.
        WeightsError: If the graph does not answer as PyTorch does (except int8, whose average
            precision tells), nothing is found in the images, or it cannot be written.
    """
    backend = spec.check()
    is_half, is_calibrated = spec.precision == "fp16", spec.precision in CALIBRATED
    if is_calibrated and not calibration:
        raise ConfigError(f"precision {spec.precision} takes images to calibrate on")
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
    """Write a graph that is still to be compared, and open it."""
    logger.info("writing the graph for %s, which takes up to a minute", backend.title)
    backend.write(path, network, metadata, calibration)
    if metadata.form == "raw":
        stem = path.with_name(path.name.removesuffix(backend.suffix))
        write_decoding(stem, network, metadata.names, metadata.config.model)
    backend.read_metadata(path)  # an error if it could not be loaded again
    return backend.open(path, RuntimeOptions())


@torch.no_grad()
def _round_weights(network: SSDLite) -> None:
    """Round weights, biases and priors to values of float16, in place and in float32."""
    for tensor in (*network.parameters(), network.priors):
        tensor.copy_(tensor.half())
