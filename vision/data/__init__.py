"""Data: readers of VOC, COCO and drawn data, augmentation, batches."""

from vision.data.batch_augment import augment_batch
from vision.data.build import (
    DATASETS,
    check_known,
    choose_classes,
    describe,
    read_sources,
    sample_images,
)
from vision.data.cache import cached, reduced
from vision.data.loader import DetectionDataset, EpochSampler, Sample, collate, make_loader
from vision.data.synthetic import read_synthetic
from vision.data.transforms import PRESETS, Augment, V2Augment, seeded

__all__ = [
    "DATASETS",
    "PRESETS",
    "Augment",
    "DetectionDataset",
    "EpochSampler",
    "Sample",
    "V2Augment",
    "augment_batch",
    "cached",
    "check_known",
    "choose_classes",
    "collate",
    "describe",
    "make_loader",
    "read_sources",
    "read_synthetic",
    "reduced",
    "sample_images",
    "seeded",
]
