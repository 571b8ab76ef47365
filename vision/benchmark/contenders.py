"""What is measured against each other: the detector on each backend, and yardsticks."""

# h w an image's own height and width

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from vision.detector import Detector
from vision.device import num_cores
from vision.errors import ConfigError, WeightsError
from vision.export import ExportSpec, export
from vision.model import Decode, build_post_process
from vision.runtime import Precision, Runnable, RuntimeOptions, load_runnable
from vision.structures import Decoded
from vision.weights import SavedDetector, load_weights

__all__ = ["Contender", "Entrant", "TorchvisionDetector", "list_entrants", "open_contender"]

Image = UInt8[ndarray, "h w 3"]
YARDSTICK = "torchvision ssdlite320_mobilenet_v3_large"
EAGER = "torch, eager NCHW, norms not folded"
SCORE = 0.4

_GRAPHS: tuple[tuple[ExportSpec, tuple[Precision, ...]], ...] = (
    (ExportSpec("onnx"), ("fp32",)),
    (ExportSpec("onnx", precision="int8"), ("int8",)),
    (ExportSpec("openvino"), ("fp32", "bf16")),
    (ExportSpec("openvino", precision="int8"), ("int8",)),
)
"""What is exported, and the precisions that each graph is run in."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """What one row of the table is of; it can be sent to another process.

    Attributes:
        name: As the table has it.
        file: Weights or exported graph; None for torchvision's detector.
        engine: What it runs on.
        is_plain: The network as it was trained, in eager PyTorch.
    """

    name: str
    file: Path | None = None
    engine: RuntimeOptions = RuntimeOptions()  # noqa: RUF009 - frozen
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class Contender:
    """An entrant that is ready to run.

    Attributes:
        forward: The network alone, on an image of its size.
        detect: From a decoded image to detections.
        runnable: For its average precision; None where there is none.
    """

    forward: Callable[[Image], object]
    detect: Callable[[Image], object]
    runnable: Runnable | None


def list_entrants(
    weights: Path,
    saved: SavedDetector,
    images: Sequence[Image],
    calibration: Sequence[Image],
    folder: Path,
    device: str | None,
) -> tuple[list[Entrant], list[str]]:
    """The entrants that this machine has, and a line for each that it has not.

    Graphs are exported to ``folder``, compared with PyTorch as ever.

    Args:
        weights: The weights file.
        saved: What it holds.
        images: Of the network's size, to compare on.
        calibration: Of the network's size, for int8.
        folder: For exported graphs.
        device: For PyTorch's; graphs run on the CPU.
    """
    rows = [
        Entrant(EAGER, weights, RuntimeOptions("torch", device), is_plain=True),
        Entrant("torch fp32", weights, RuntimeOptions("torch", device, "fp32")),
        Entrant("torch bf16", weights, RuntimeOptions("torch", device, "bf16")),
    ]
    absent = []
    for request, runs_in in _GRAPHS:
        path = request.file(folder, weights.stem)
        try:
            export(saved, request, path, images, calibration)
        except (ConfigError, WeightsError) as error:
            absent.append(f"{request.backend} {request.precision} left out: {error}")
        else:
            rows += [
                Entrant(
                    f"{request.backend} {precision}", path, RuntimeOptions(None, "cpu", precision)
                )
                for precision in runs_in
            ]
    return [*rows, Entrant(YARDSTICK)], absent


def open_contender(entrant: Entrant, threads: int | None = None, streams: int = 1) -> Contender:
    """An entrant, loaded.

    Args:
        entrant: Which.
        threads: For one call; None for all cores.
        streams: Calls that may run at once.
    """
    torch.set_num_threads(threads or num_cores())
    if entrant.file is None:
        detector = TorchvisionDetector()
        return Contender(detector.forward, detector.detect, None)
    engine = replace(entrant.engine, threads=threads, streams=streams)
    runnable = load_runnable(entrant.file, engine)
    if entrant.is_plain:
        runnable = replace(runnable, session=_PlainSession(load_weights(entrant.file)))
    post_process = build_post_process(runnable.config.model)
    post_process.score_threshold = SCORE
    return Contender(
        lambda image: runnable.session(_batch(image)),
        Detector(runnable.session, post_process, runnable.names),
        runnable,
    )


def _batch(image: Image) -> UInt8[Tensor, "1 3 h w"]:
    return torch.from_numpy(image[None]).permute(0, 3, 1, 2)


class _PlainSession:
    """The network as it was trained: norms apart, channels first."""

    def __init__(self, saved: SavedDetector) -> None:
        self.image_size = saved.model.image_size
        self._model = saved.model
        self._decode = Decode(saved.model.priors, saved.model.scores)

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        with torch.inference_mode():
            decoded: Decoded = self._decode(self._model(images.contiguous()))
        return decoded


class TorchvisionDetector:
    """Torchvision's SSDlite on MobileNetV3, freshly initialised: a yardstick of speed alone."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = ssdlite320_mobilenet_v3_large(
                weights=None, weights_backbone=None, num_classes=21, score_thresh=SCORE
            ).eval()
        self.image_size = (320, 320)

    def forward(self, image: Image) -> object:
        """Backbone and heads."""
        with torch.inference_mode():
            features = self.model.backbone(_batch(image) / 255)
            return self.model.head(list(features.values()))

    def detect(self, image: Image) -> object:
        """From a decoded image to detections, by its own pre- and post-processing."""
        with torch.inference_mode():
            return self.model([_batch(image)[0] / 255])
