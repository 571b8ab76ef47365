"""Download and unpack public data sets, ready to train on."""

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from yaml import YAMLError

from vision.atomic import replacing
from vision.config.yaml12 import parse_yaml
from vision.data.fetch import Archive, fetch
from vision.data.unpack import unpack
from vision.errors import DataError
from vision.files import MAX_TEXT_BYTES, read_text

__all__ = ["DOWNLOADS", "PublicData", "download", "train_command"]

SPACE = 2.1
"""Disk space needed for the archives and their unpacked files, as a multiple of the archives."""
MARKER = ".downloaded"


@dataclass(frozen=True, slots=True)
class PublicData:
    """A public data set.

    Attributes:
        archives: The archives to download.
        prefix: The folder in the archives that becomes the root; empty for their top level.
        folders: The folders below ``prefix`` that are unpacked.
        config: Name of the shipped configuration that trains on it.
    """

    archives: tuple[Archive, ...]
    prefix: str
    folders: tuple[str, ...]
    config: str


_VOC = "https://thor.robots.ox.ac.uk/pascal/VOC"
_VOC_TRAINVAL_2007 = "c52e279531787c972589f7e41ab4ae64"
_VOC_TEST_2007 = "b6e924de25625d8de591ea690078ad9f"
_VOC_TRAINVAL_2012 = "6cd6e144f989b92b3379bac3b3de84fd"
_VOC_FOLDERS = ("Annotations", "ImageSets", "JPEGImages")
_COCO = "http://images.cocodataset.org"  # HTTPS has the certificate of another host.
_COCO_ANNOTATIONS = "f4bbac642086de4f52a3fdda2de5fa2c"
_COCO_TRAIN = "cced6f7f71b7629ddf16f17bbcfab6b2"
_COCO_VAL = "442b8da7639aecaf257c1dceb8ba8c80"

# VOC's checksums are those in torchvision.datasets.voc. COCO publishes none: these are used by
# PaddleDetection and by the download scripts of many other projects.
DOWNLOADS = {
    "voc2007": PublicData(
        (
            Archive(f"{_VOC}/voc2007/VOCtrainval_06-Nov-2007.tar", _VOC_TRAINVAL_2007, 460_032_000),
            Archive(f"{_VOC}/voc2007/VOCtest_06-Nov-2007.tar", _VOC_TEST_2007, 451_020_800),
        ),
        "VOCdevkit/VOC2007",
        _VOC_FOLDERS,
        "voc",
    ),
    "voc2012": PublicData(
        (
            Archive(
                f"{_VOC}/voc2012/VOCtrainval_11-May-2012.tar", _VOC_TRAINVAL_2012, 1_999_639_040
            ),
        ),
        "VOCdevkit/VOC2012",
        _VOC_FOLDERS,
        "voc",
    ),
    "coco2017": PublicData(
        (
            Archive(
                f"{_COCO}/annotations/annotations_trainval2017.zip", _COCO_ANNOTATIONS, 252_907_541
            ),
            Archive(f"{_COCO}/zips/val2017.zip", _COCO_VAL, 815_585_330),
            Archive(f"{_COCO}/zips/train2017.zip", _COCO_TRAIN, 19_336_861_798),
        ),
        "",
        ("annotations", "train2017", "val2017"),
        "coco",
    ),
}
"""The data sets by name."""


def train_command(name: str, root: Path) -> str:
    """The command that trains on a data set that was downloaded to ``root``."""
    text = str(root)
    # In quotes, if YAML would read the path as another value, as a folder 2007.
    value = text if _is_text(text) else json.dumps(text, ensure_ascii=False)
    roots = [f"data.{split}.root={value}" for split in ("train", "val")]
    return shlex.join(["ssdlite", "train", "--config", DOWNLOADS[name].config, *roots])


def _is_text(text: str) -> bool:
    """Whether YAML reads an unquoted text as this same text."""
    try:
        return bool(parse_yaml(text) == text)
    except YAMLError:
        return False


def download(name: str, root: Path) -> bool:
    """Download a data set to ``root``, in the layout that its data format reads.

    Archives are downloaded to a hidden folder in ``root``, where a later call continues an
    interrupted one. When all are unpacked there, the data set's folders are moved to ``root``, the
    archives are deleted, and a hidden marker file records that the data set is complete.

    Args:
        name: A key of `DOWNLOADS`.
        root: The folder to create.

    Returns:
        False if the data set was complete already, else True.

    Raises:
        DataError: If the network, the disk or an archive fails, or ``root`` has other data.
    """
    try:
        return _download(name, DOWNLOADS[name], root)
    except OSError as error:
        raise DataError(
            f"--root {root} cannot be written: {error.strerror or error}; what was downloaded is"
            " kept; run the same command again to continue"
        ) from error


def _download(name: str, data: PublicData, root: Path) -> bool:
    work, marker = root / f".{name}.partial", root / MARKER
    unpacked = work / "unpacked"
    present = [folder for folder in data.folders if (root / folder).exists()]
    held = read_text(marker, MAX_TEXT_BYTES).strip() if marker.exists() else name
    if held != name:
        raise DataError(f"--root {root} holds {held}; choose another folder for {name}")
    if marker.exists() and len(present) == len(data.folders):
        shutil.rmtree(work, ignore_errors=True)
        return False
    if present and not unpacked.exists():
        raise DataError(
            f"--root {root} already has {', '.join(present)}; choose another folder, or move"
            f" {'it' if len(present) == 1 else 'them'} away"
        )
    work.mkdir(parents=True, exist_ok=True)
    if not unpacked.exists():
        _check_space(name, data, root, work)
        paths = [fetch(archive, work) for archive in data.archives]
        unpack(paths, data.prefix, data.folders, unpacked)
    for folder in list(unpacked.iterdir()):
        folder.rename(root / folder.name)
    with replacing(marker) as file:
        file.write_text(f"{name}\n", encoding="utf-8")
    shutil.rmtree(work)
    return True


def _check_space(name: str, data: PublicData, root: Path, work: Path) -> None:
    loaded = sum(path.stat().st_size for path in work.iterdir() if path.is_file())
    needed = SPACE * sum(archive.size for archive in data.archives) - loaded
    free = shutil.disk_usage(work).free
    if free < needed:
        raise DataError(
            f"--root {root} has {free / 1e9:.2f} GB free, and {name} needs {needed / 1e9:.2f} GB;"
            " make room, or choose a folder on another disk"
        )
