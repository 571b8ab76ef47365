"""Section ``data``: where images and boxes come from."""

import unicodedata
from itertools import product
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from vision.config.section import MAX_SEED, SceneSize, Section
from vision.files import expand_home


def _check_given(source: "VocSource | CocoSource") -> None:
    missing = [key for key in ("root", "split") if getattr(source, key) is None]
    if missing and not (source.annotations and source.images):
        said = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise ValueError(f"{said}; give root and split, or annotations and images")


class VocSource(Section):
    """PASCAL VOC's layout. Set ``root`` and ``split``, or ``annotations`` and ``images``."""

    format: Literal["voc"]
    """PASCAL VOC's layout."""
    root: str | None = None
    """The folder that contains ``JPEGImages/``, ``Annotations/`` and ``ImageSets/Main/``."""
    split: str | None = None
    """The list of images to read: ``train`` reads ``ImageSets/Main/train.txt``. A name that ends
    in ``.txt`` is the path of your own list, or a list in the package such as
    ``voc2007test_3500.txt``. With ``annotations`` and ``images``, null reads all XML files."""
    annotations: str | None = None
    """The folder of the XML files, if not ``Annotations``: a path, or relative to ``root``."""
    images: str | None = None
    """The folder of the images, if not ``JPEGImages``: a path, or relative to ``root``."""

    @model_validator(mode="after")
    def _can_be_found(self) -> "VocSource":
        _check_given(self)
        if self.split is not None and self.root is None:
            raise ValueError("root is missing; split names a list in root, so set both or neither")
        return self


class CocoSource(Section):
    """COCO's layout. Set ``root`` and ``split``, or ``annotations`` and ``images``."""

    format: Literal["coco"]
    """COCO's layout."""
    root: str | None = None
    """The folder that contains ``annotations/`` and a folder of images for each split."""
    split: str | None = None
    """``train`` reads ``annotations/instances_train.json`` and the images in ``train/``."""
    annotations: str | None = None
    """The JSON file, if it is elsewhere: a path, or relative to ``root``."""
    images: str | None = None
    """The folder of the images, if it is elsewhere: a path, or relative to ``root``."""

    @model_validator(mode="after")
    def _can_be_found(self) -> "CocoSource":
        _check_given(self)
        return self


class YoloSource(Section):
    """YOLO's layout: a text file of boxes for each image."""

    format: Literal["yolo"]
    """YOLO's layout."""
    root: str
    """The folder of the data set, or its ``data.yaml``."""
    split: str | None = None
    """The split to read: ``train``, ``val`` or ``test``; null reads all images."""


class OpenImagesSource(Section):
    """Open Images' layout: a CSV file for each split."""

    format: Literal["open_images"]
    """Open Images' layout."""
    root: str
    """The folder of the ``SPLIT-annotations-bbox.csv`` files, with a folder of images for each."""
    split: str | None = None
    """``train``, ``val`` or ``test``; not needed with ``annotations`` and ``images``."""
    annotations: str | None = None
    """The CSV file, if it is elsewhere: a path, or relative to ``root``."""
    images: str | None = None
    """The folder of the images, if it is elsewhere: a path, or relative to ``root``."""


class ImageFolderSource(Section):
    """Hugging Face's layout: images next to a ``metadata.jsonl`` or ``metadata.csv``."""

    format: Literal["image_folder"]
    """Hugging Face's ``imagefolder``."""
    root: str
    """The folder that contains the metadata file, or a folder with one for each split."""
    split: str | None = None
    """``train``, ``val`` or ``test``; null reads the metadata file in ``root``."""


class WebDatasetSource(Section):
    """WebDataset's layout: tar files of images, each image with a JSON file of its boxes."""

    format: Literal["webdataset"]
    """WebDataset's tar files, uncompressed."""
    root: str
    """A folder of tar files, a single tar file, or a range of numbered files such as
    ``train-{000000..000012}.tar``."""
    split: Literal["train", "val", "test", "all"] | None = None
    """``train`` reads the tar files in ``root`` that have the word ``train`` in their name, or else
    in their folder's; ``all`` reads those whose names state no split; null reads every tar file."""


class AutoSource(Section):
    """A folder in any supported layout, which is detected; ``--data FOLDER`` sets this format."""

    format: Literal["auto"]
    """The layout is detected from the files: VOC, COCO, YOLO, Open Images, Hugging Face's
    imagefolder, WebDataset, or an export of Roboflow, CVAT, Label Studio or LabelImg."""
    root: str
    """The folder of images and annotations, YOLO's ``data.yaml``, a COCO JSON file, or a tar."""
    split: Literal["train", "val", "test", "all"]
    """The split to read. If the folder has no ``val``, about a fifth of the training images become
    ``val`` and the others ``train``; near duplicates stay together. ``all`` reads all splits."""
    seed: int = Field(0, ge=0, le=MAX_SEED)
    """Random seed for choosing the ``val`` images if the folder has no ``val``."""
    val_below: float | None = Field(None, ge=0, le=1)
    """The seed gives each image a number from 0 to 1; images below this limit become ``val``. With
    null, it is chosen; a run records it, so that adding images does not reshuffle the others."""

    def is_at(self, root: str) -> bool:
        """Whether ``root`` is the same folder as this source's."""
        return expand_home(self.root).resolve() == expand_home(root).resolve()


class SyntheticSource(Section):
    """Synthetic scenes of simple shapes, rendered on the fly; no files are read."""

    format: Literal["synthetic"]
    """Synthetic data."""
    num_images: int = Field(ge=1, le=10_000_000)
    """Number of scenes."""
    seed: int = Field(0, ge=0, le=MAX_SEED)
    """Random seed of the scenes; different seeds give different scenes."""
    image_size: SceneSize = (192, 192)
    """Size of the scenes in pixels: one number or [height, width], from 32 to 4096."""


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
    """The sources of format ``auto`` in values of ``data.train`` or ``data.val``."""
    flat = [item for part in parts for item in (part if isinstance(part, list) else [part])]
    return [source for source in flat if isinstance(source, AutoSource)]


class DataConfig(Section):
    """Where images and boxes come from."""

    train: DataSources | None = None
    """Training data: one source, or a list of them."""
    val: DataSources | None = None
    """Validation data: one source, or a list of them. With null, the model is not evaluated during
    training, and the last weights count as the best."""
    classes: list[str] | None = None
    """Class names in label order. Boxes of other classes are left out, and their number is printed.
    With null, the classes are taken from the training data."""
    cache: str | None = None
    """A folder for decoded training images, so that each file is decoded only once."""

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: list[str] | None) -> list[str] | None:
        if classes is not None and not classes:
            raise ValueError("expected class names, or null for all classes of the training data")
        names = [unicodedata.normalize("NFC", name) for name in classes or []]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return names or None

    @model_validator(mode="after")
    def _split_alike(self) -> "DataConfig":
        pairs = product(auto_sources(self.train), auto_sources(self.val))
        if any(train.is_at(val.root) and train.seed != val.seed for train, val in pairs):
            raise ValueError("train and val split one folder by seed, so they need the same seed")
        return self
