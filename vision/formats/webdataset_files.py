"""Finding the tars of a WebDataset, their splits, and the samples in them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from vision.errors import DataError
from vision.files import Member, expand_home
from vision.formats.folders import SPLITS, Layout, files_in, folders_in, make_layout, split_of
from vision.formats.json_values import is_unicode
from vision.formats.paths import full
from vision.formats.records import Tally
from vision.formats.tar_members import first_names, tar_members
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES

BRACES = re.compile(r"\{(\d{1,18})\.\.(\d{1,18})\}")
"""The range of numbers in a name that stands for several tars, ``train-{000..012}.tar``."""
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_PROBED = 8
"""Number of files at the beginning of a tar that are searched for a sample."""


def find_tars(root: str, split: str | None) -> list[Path]:
    """The tars that a data source names, sorted by name.

    Args:
        root: A folder that holds tars, or folders of tars; or a tar; or the name of several tars,
            with the first and last number in braces.
        split: If ``root`` is a folder, the split of the tars, see `tar_split`; None for all tars.

    Raises:
        DataError: If there is no such tar.
    """
    path = expand_home(root)
    if path.is_file():
        return [path]
    if braces := BRACES.search(path.name):
        return _numbered(path, braces)
    tars = [
        tar
        for tar in _tars_in(path)
        if split is None or tar_split(tar, path) == SPLITS.get(split, split)
    ]
    if tars:
        return tars
    if compressed := files_in(path, COMPRESSED):
        raise DataError(
            f"WebDataset {compressed[0]} is compressed, but images are read in place; decompress"
            " it, for example with gunzip"
        )
    of_split = f" for the split {split}" if split else ""
    raise DataError(
        f"WebDataset {full(path)} has no tar{of_split}; pass the folder of the tars, one tar, or"
        " train-{000000..000012}.tar"
    )


def _numbered(path: Path, braces: re.Match[str]) -> list[Path]:
    """The tars from the first to the last number, all of which must exist."""
    first, last = braces.groups()
    tars = []
    for number in range(int(first), int(last) + 1):
        name = f"{path.name[: braces.start()]}{number:0{len(first)}}{path.name[braces.end() :]}"
        tars.append(path.with_name(name))
        if not tars[-1].is_file():
            raise DataError(f"WebDataset {full(tars[-1])} of {path.name} does not exist; add it")
    if not tars:
        raise DataError(f"WebDataset {path}: the first number in braces exceeds the last; swap")
    return tars


def _tars_in(folder: Path) -> list[Path]:
    """The tars in a folder and in its direct subfolders."""
    folders = [folder, *sorted(folders_in(folder))] if folder.is_dir() else []
    return [tar for place in folders for tar in files_in(place, {".tar"})]


def tar_split(tar: Path, root: Path) -> str:
    """The split in the name of a tar, else of its folder below ``root``; ``all`` without one."""
    folder = tar.parent.relative_to(root).name
    return split_of(tar.stem) or split_of(folder) or "all"


def find_samples(tar: Path, tally: Tally) -> Iterator[tuple[Member, Member]]:
    """Yield the image and the JSON file of each key that has both, in the order of the images.

    Raises:
        DataError: If the tar cannot be read, is compressed, truncated or damaged.
    """
    images: dict[str, Member] = {}
    texts: dict[str, Member] = {}
    for member in tar_members(tar):
        key, suffix = sample_key(member.name)
        is_image = f".{suffix.rpartition('.')[2]}" in IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES
        if not key.rpartition("/")[2] or not (is_image or suffix == "json"):
            continue  # a hidden file, or one that is neither an image nor JSON
        kind = images if is_image else texts
        if not _is_inside(member.name):
            tally.note("files with unsafe names left out", tar)
        elif "." in suffix:
            tally.note("images with several dots in their names left out", member)
        elif key in kind:
            tally.note("further files with the same key left out", member)
        else:
            kind[key] = member
    yield from ((image, texts[key]) for key, image in images.items() if key in texts)
    _note_unpaired(images, texts, "images without a JSON file left out", tally)
    _note_unpaired(texts, images, "JSON files without an image left out", tally)


def _note_unpaired(
    members: Mapping[str, Member], others: Mapping[str, Member], what: str, tally: Tally
) -> None:
    for key, member in members.items():
        if key not in others:
            tally.note(what, member)


def _is_inside(name: str) -> bool:
    """Whether a name in a tar is that of a file inside a folder, and can be printed."""
    path = PurePosixPath(name)
    is_plain = is_unicode(name) and "\0" not in name
    return is_plain and not path.is_absolute() and ".." not in path.parts


def has_samples(tar: Path) -> bool:
    """Whether a tar begins like a WebDataset, with an image and a JSON file of the same key."""
    names = [sample_key(name) for name in first_names(tar, _PROBED)]
    images = {key for key, suffix in names if f".{suffix}" in IMAGE_SUFFIXES}
    return any(suffix == "json" and key in images for key, suffix in names)


def sample_key(name: str) -> tuple[str, str]:
    """Key and suffix of a file in a tar, by WebDataset's rule.

    The key is the path up to the first dot in the file's own name; the suffix is everything after
    this dot, here in lower case.
    """
    folder, slash, file = name.rpartition("/")
    key, _, suffix = file.partition(".")
    return folder + slash + key, suffix.lower()


def find_webdataset(root: Path) -> Layout | None:
    """WebDataset's layout, recognised by the first files in the first tar; None without samples."""
    tars = _tars_in(root)
    if not tars or not has_samples(tars[0]):
        return None
    splits = sorted({tar_split(tar, root) for tar in tars})
    found = [(split, {"root": str(root), "split": split}) for split in splits]
    return make_layout("webdataset", root, f"WebDataset's tars in {root}", found)
