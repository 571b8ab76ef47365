"""A few annotated pictures that show what a detector finds."""

from pathlib import Path

import torch
from torch.utils.data import DataLoader

from vision.data import DetectionDataset, Sample
from vision.detector import Detector
from vision.draw import draw_detections, draw_legend, draw_target
from vision.media import write_image
from vision.runtime import RuntimeOptions
from vision.weights import SavedDetector

__all__ = ["draw_pictures"]

NUM_PICTURES = 8
SCORE = 0.4


def draw_pictures(
    saved: SavedDetector, loader: DataLoader[Sample], device: torch.device, folder: Path
) -> None:
    """Write pictures spread over a loader's data, with detections, truth and a legend."""
    dataset = loader.dataset
    assert isinstance(dataset, DetectionDataset)
    options = RuntimeOptions(device=str(device))
    detector = Detector.from_model(
        saved.model, saved.config, saved.names, score=SCORE, options=options
    )
    step = max(1, len(dataset) // NUM_PICTURES)
    for index in range(0, len(dataset), step)[:NUM_PICTURES]:
        image, target = dataset.records[index].read(), dataset.targets[index]
        picture = draw_target(image, target, saved.names)
        picture = draw_detections(picture, detector(image), saved.names)
        stem = Path(str(target.image_id)).stem.replace(" ", "_")
        write_image(folder / f"{index:05d}_{stem}.jpg", draw_legend(picture))
