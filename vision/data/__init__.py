"""Data sets: reading the configured sources, augmentation, caching and batches."""

from vision.data.auto import settle_splits
from vision.data.build import (
    check_known,
    choose_classes,
    count_unignored,
    describe,
    irregularities,
    read_sources,
    sample_images,
)
from vision.data.cache import cached, reduced
from vision.data.loader import DetectionDataset, Loader, Sample, collate, make_loader
from vision.data.sampler import EpochSampler
from vision.data.synthetic import read_synthetic
from vision.data.transforms import (
    PRESETS,
    Augment,
    AugmentPreset,
)

__all__ = [
    "PRESETS",
    "Augment",
    "AugmentPreset",
    "DetectionDataset",
    "EpochSampler",
    "Loader",
    "Sample",
    "cached",
    "check_known",
    "choose_classes",
    "collate",
    "count_unignored",
    "describe",
    "irregularities",
    "make_loader",
    "read_sources",
    "read_synthetic",
    "reduced",
    "sample_images",
    "settle_splits",
]
