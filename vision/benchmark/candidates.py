"""The candidates of a benchmark: the detector on each backend, and torchvision's detector."""

# N: images; h w: height and width of an image; H W: height and width of the network's input

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from vision.detector import Detector
from vision.device import choose_device, num_cores
from vision.errors import ConfigError, WeightsError
from vision.export import Agreement, ExportSpec, export_detector
from vision.model import SSDLite, build_post_process, decode_predictions
from vision.runtime import BACKENDS, GraphBackend, RuntimeOptions
from vision.structures import Decoded
from vision.weights import SavedDetector, load_weights

Image = UInt8[ndarray, "h w 3"]
TORCHVISION = "torchvision ssdlite320_mobilenet_v3_large"
EAGER = "torch, eager NCHW, BatchNorm not folded"
SCORE = 0.4


@dataclass(frozen=True, slots=True)
class Candidate:
    """The subject of one row of the table; it can be sent to another process.

    Attributes:
        name: Its name in the table.
        file: Weights or an exported graph; None for torchvision's detector.
        options: The backend, device and precision that it runs in.
        is_plain: Whether it is the network as it was trained, in eager PyTorch.
        num_bytes: Size of an exported graph and the files that belong to it; 0 for others.
        agreement: How an exported graph agrees with PyTorch; None for others.
    """

    name: str
    file: Path | None = None
    options: RuntimeOptions = RuntimeOptions()  # noqa: RUF009 - frozen
    is_plain: bool = False
    num_bytes: int = 0
    agreement: Agreement | None = None


@dataclass(frozen=True, slots=True)
class LoadedCandidate:
    """A candidate that is ready to run.

    Attributes:
        forward: Runs the network alone on an image of its input size, until its output is on the
            host.
        detect: Turns a decoded image into detections.
        detector: Measures average precision; None for torchvision's, which is not trained.
    """

    forward: Callable[[Image], object]
    detect: Callable[[Image], object]
    detector: Detector | None


def list_candidates(
    weights: Path,
    saved: SavedDetector,
    images: Sequence[Image],
    calibration: Sequence[Image],
    folder: Path,
    device: str | None,
) -> tuple[list[Candidate], list[str]]:
    """List the candidates that can run on this machine, and a line for each one that cannot.

    Graphs are exported to ``folder``, and the export compares them with PyTorch.

    Args:
        weights: The weights file.
        saved: Its content.
        images: Images of the network's input size, to compare on.
        calibration: Images of the same size, to calibrate int8 on.
        folder: The folder for exported graphs.
        device: The device of PyTorch and torchvision's detector; graphs run on the CPU.
    """
    rows = [Candidate(EAGER, weights, RuntimeOptions("torch", device), is_plain=True)]
    left_out = []
    for name, backend in BACKENDS.items():
        for precision, precisions in backend.benchmarked.items():
            path, where, num_bytes, agreement = weights, device, 0, None
            if isinstance(backend, GraphBackend):
                spec = ExportSpec(name, precision=precision)
                path, where = spec.file(folder / name / precision, weights.stem), "cpu"
                path.parent.mkdir(parents=True)
                try:
                    agreement = export_detector(saved, spec, path, images, calibration).agreement
                except (ConfigError, WeightsError) as error:
                    left_out.append(f"{name} {precision} left out: {error}")
                    continue
                num_bytes = sum(part.stat().st_size for part in path.parent.iterdir())
            rows += [
                Candidate(
                    f"{name} {run_in}",
                    path,
                    RuntimeOptions(name, where, run_in),
                    num_bytes=num_bytes,
                    agreement=agreement,
                )
                for run_in in precisions
            ]
    return [*rows, Candidate(TORCHVISION, options=RuntimeOptions(device=device))], left_out


def load_candidate(
    candidate: Candidate, threads: int | None = None, streams: int = 1
) -> LoadedCandidate:
    """Load a candidate.

    Args:
        candidate: The candidate.
        threads: CPU threads of one call; None for all cores.
        streams: Number of calls that run at once.
    """
    torch.set_num_threads(threads or num_cores())
    options = candidate.options
    if candidate.file is None:
        torchvision = TorchvisionDetector(choose_device(options.device or "auto"))
        return LoadedCandidate(torchvision.forward, torchvision.detect, None)
    detector = Detector.load(
        candidate.file,
        SCORE,
        options.device,
        backend=options.backend,
        precision=options.precision,
        threads=threads,
        streams=streams,
    )
    if candidate.is_plain:
        saved = load_weights(candidate.file)
        post_process = build_post_process(saved.config.model)
        session = _PlainSession(saved.model, choose_device(options.device or "auto"))
        detector = Detector(session, post_process, saved.names, score=SCORE)
    return LoadedCandidate(
        lambda image: detector.session(_batch(image)).boxes.cpu(), detector, detector
    )


def _batch(image: Image) -> UInt8[Tensor, "1 3 h w"]:
    return torch.from_numpy(image[None]).permute(0, 3, 1, 2)


class _PlainSession:
    """A session of the network as it was trained: BatchNorm not folded, channels first."""

    def __init__(self, model: SSDLite, device: torch.device) -> None:
        self.image_size = model.image_size
        self.options = RuntimeOptions("torch", str(device), "fp32")
        self._model = model.to(device)

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        with torch.inference_mode():
            predictions = self._model(images.contiguous().to(self._model.priors.device))
            return decode_predictions(predictions, self._model.priors, self._model.scores)


class TorchvisionDetector:
    """Torchvision's SSDlite on MobileNetV3 with random weights, for a comparison of speed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = ssdlite320_mobilenet_v3_large(
                weights=None, weights_backbone=None, num_classes=21, score_thresh=SCORE
            ).eval()
        self.model.to(device)

    def forward(self, image: Image) -> object:
        """Run backbone and heads, and return their outputs on the host."""
        with torch.inference_mode():
            features = self.model.backbone(_batch(image).to(self._device) / 255)
            outputs = self.model.head(list(features.values()))
            return [output.cpu() for output in outputs.values()]

    def detect(self, image: Image) -> object:
        """Detect in a decoded image, with torchvision's own pre- and post-processing."""
        with torch.inference_mode():
            return self.model([_batch(image)[0].to(self._device) / 255])
