"""Section ``data``: where images and boxes come from."""

import unicodedata
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from vision.config.section import MAX_SEED, SceneSize, Section


def _check_given(source: "VocSource | CocoSource") -> None:
    missing = [key for key in ("root", "split") if getattr(source, key) is None]
    if missing and not (source.annotations and source.images):
        said = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise ValueError(f"{said}; give root and split, or annotations and images")


class VocSource(Section):
    """PASCAL VOC's layout: ``root`` and ``split`` are needed, or ``annotations`` and ``images``."""

    format: Literal["voc"]
    """PASCAL VOC's layout."""
    root: str | None = None
    """The folder that holds ``JPEGImages/``, ``Annotations/`` and ``ImageSets/Main/``."""
    split: str | None = None
    """``train`` reads ``ImageSets/Main/train.txt``. A name that ends in ``.txt`` is a file that
    lists the images, or a list in the package, such as ``voc2007test_3500.txt``. With
    ``annotations`` and ``images`` it may be left out: all XML files are read then."""
    annotations: str | None = None
    """Folder of the XML files, if it is not ``Annotations``; below ``root`` or a path."""
    images: str | None = None
    """Folder of the images, if it is not ``JPEGImages``; below ``root`` or a path."""

    @model_validator(mode="after")
    def _can_be_found(self) -> "VocSource":
        _check_given(self)
        if self.split is not None and self.root is None:
            raise ValueError("root is missing; split is a list in it, so give root, or no split")
        return self


class CocoSource(Section):
    """COCO's layout: ``root`` and ``split`` are needed, or ``annotations`` and ``images``."""

    format: Literal["coco"]
    """COCO's layout."""
    root: str | None = None
    """The folder that holds ``annotations/`` and one folder of images a split."""
    split: str | None = None
    """``train`` reads ``annotations/instances_train.json`` and images in ``train/``."""
    annotations: str | None = None
    """The JSON file, if it is not the one of the split; below ``root`` or a path."""
    images: str | None = None
    """Folder of the images, if it is not the split's; below ``root`` or a path."""

    @model_validator(mode="after")
    def _can_be_found(self) -> "CocoSource":
        _check_given(self)
        return self


class YoloSource(Section):
    """YOLO's layout: a text file for each image."""

    format: Literal["yolo"]
    """YOLO's layout."""
    root: str
    """The folder of the data, or its ``data.yaml``."""
    split: str | None = None
    """``train``, ``val`` or ``test``; null reads all images."""


class OpenImagesSource(Section):
    """Open Images' layout: a CSV file for each split."""

    format: Literal["open_images"]
    """Open Images' layout."""
    root: str
    """The folder that holds ``SPLIT-annotations-bbox.csv`` and one folder of images a split."""
    split: str | None = None
    """``train``, ``val`` or ``test``; not needed with ``annotations`` and ``images``."""
    annotations: str | None = None
    """The CSV file, if it is not the one of the split; below ``root`` or a path."""
    images: str | None = None
    """Folder of the images, if it is not the split's; below ``root`` or a path."""


class ImageFolderSource(Section):
    """Hugging Face's layout: images beside a ``metadata.jsonl``."""

    format: Literal["image_folder"]
    """Hugging Face's ``imagefolder``."""
    root: str
    """The folder that holds one folder a split, or ``metadata.jsonl`` itself."""
    split: str | None = None
    """``train``, ``val`` or ``test``; null reads ``metadata.jsonl`` in ``root``."""


class WebDatasetSource(Section):
    """WebDataset's layout: tars of images, each with a JSON file of its boxes."""

    format: Literal["webdataset"]
    """WebDataset's tars, uncompressed."""
    root: str
    """The folder of the tars, or one tar, or several by their numbers:
    ``train-{000000..000012}.tar``."""
    split: Literal["train", "val", "test", "all"] | None = None
    """``train`` reads the tars of a folder that are called so or lie in a folder of that name,
    ``all`` those whose name tells no split; null reads all tars."""


class AutoSource(Section):
    """A folder in any layout that is known; what ``--data`` stands for."""

    format: Literal["auto"]
    """Recognised by the files: VOC, COCO, YOLO, Open Images, Hugging Face's imagefolder,
    WebDataset, and what Roboflow, CVAT, Label Studio and LabelImg export."""
    root: str
    """The folder of images and annotations, YOLO's ``data.yaml``, a COCO file, or a tar."""
    split: Literal["train", "val", "test", "all"]
    """A split that the folder has. Where it has no ``val``, a fifth of the images is ``val`` and
    the others are ``train``; near duplicates are on one side."""
    seed: int = Field(0, ge=0, le=MAX_SEED)
    """Seed by which images become ``val`` where the folder has none."""
    val_below: float | None = Field(None, ge=0, le=1)
    """The images, of which each has a number from 0 to 1, that become ``val``. With null, it is
    chosen; a run records it, so that its images stay on their sides when others are added."""

    def is_at(self, root: str) -> bool:
        """Whether another root is the same folder."""
        return Path(self.root).expanduser().resolve() == Path(root).expanduser().resolve()


class SyntheticSource(Section):
    """Synthetic scenes of simple shapes, rendered on the fly; no file is read."""

    format: Literal["synthetic"]
    """Synthetic data."""
    num_images: int = Field(ge=1, le=10_000_000)
    """Number of scenes."""
    seed: int = Field(0, ge=0, le=MAX_SEED)
    """Seed of the scenes."""
    image_size: SceneSize = (192, 192)
    """Size of the scenes: one number or [height, width], from 32 to 4096."""


DataSource: TypeAlias = Annotated[
    VocSource
    | CocoSource
    | YoloSource
    | OpenImagesSource
    | ImageFolderSource
    | WebDatasetSource
    | AutoSource
    | SyntheticSource,
    Field(discriminator="format"),
]


DataSources: TypeAlias = Annotated[
    Annotated[DataSource, Tag("one")] | Annotated[list[DataSource], Tag("many")],
    Discriminator(lambda value: "many" if isinstance(value, list) else "one"),
]


def auto_sources(*parts: DataSources | None) -> list[AutoSource]:
    """The sources of format ``auto`` in parts of the section."""
    flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    return [source for source in flat if isinstance(source, AutoSource)]


class DataConfig(Section):
    """Where images and boxes come from."""

    train: DataSources | None = None
    """Training data: one source, or a list of them."""
    val: DataSources | None = None
    """Validation data: one source, or a list of them. Without any, nothing is evaluated and the
    last weights count as the best."""
    classes: list[str] | None = None
    """Class names in label order. Boxes of other classes are left out and counted. With null, the
    classes are those of the training data."""
    cache: str | None = None
    """Folder for decoded training images, so that each is decoded once."""

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str] | None) -> list[str] | None:
        if classes is not None and not classes:
            raise ValueError("it is empty; name a class, or write null to discover them")
        names = [unicodedata.normalize("NFC", name) for name in classes or []]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return names or None

    @model_validator(mode="after")
    def _split_alike(self) -> "DataConfig":
        pairs = product(auto_sources(self.train), auto_sources(self.val))
        if any(train.is_at(val.root) and train.seed != val.seed for train, val in pairs):
            raise ValueError("train and val of one folder need the same seed, to be split by it")
        return self
