"""Unpack archives safely: no entry can write outside of the target folder."""

import shutil
import stat
import tarfile
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple
from zipfile import ZipFile

from vision.data.fetch import bytes_bar
from vision.errors import DataError
from vision.files import open_regular

__all__ = ["unpack"]


class _Member(NamedTuple):
    """A file in an archive."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(paths: Sequence[Path], prefix: str, names: Collection[str], folder: Path) -> None:
    """Unpack tar and zip files into ``folder``, which is created only when all files are complete.

    Args:
        paths: The archives.
        prefix: The folder in the archives that becomes ``folder``; empty for their top level.
        names: The files and folders below ``prefix`` to unpack.
        folder: The folder to create, which must not exist.

    Raises:
        DataError: If an archive has an unsafe entry; nothing is unpacked then.
        OSError: If the disk fails.
    """
    unpacking = folder.with_name("unpacking")
    shutil.rmtree(unpacking, ignore_errors=True)  # left by a process that was killed
    wanted = [PurePosixPath(prefix, name) for name in names]
    try:
        for path in paths:
            with open_regular(path) as file, _opened(file, path) as archive:
                members = list(_members(archive, path.name))
                with bytes_bar(
                    f"unpack {path.name}", sum(member.size for member in members)
                ) as bar:
                    for member in members:
                        if any(member.path.is_relative_to(part) for part in wanted):
                            _write(member, unpacking / member.path.relative_to(prefix))
                        bar.update(member.size)
        unpacking.rename(folder)
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


def _opened(file: BinaryIO, path: Path) -> ZipFile | tarfile.TarFile:
    return ZipFile(file) if path.suffix == ".zip" else tarfile.open(fileobj=file)


def _members(archive: ZipFile | tarfile.TarFile, name: str) -> Iterator[_Member]:
    """Yield the files of an archive; an unsafe entry raises DataError."""
    if isinstance(archive, ZipFile):
        for info in archive.infolist():
            is_link = stat.S_ISLNK(info.external_attr >> 16)
            path = _safe(info.filename, name, is_plain=not is_link)
            if not info.is_dir():
                yield _Member(path, info.file_size, partial(archive.open, info))
    else:
        for entry in archive:
            path = _safe(entry.name, name, is_plain=entry.isfile() or entry.isdir())
            if entry.isfile():
                yield _Member(path, entry.size, partial(archive.extractfile, entry))


def _safe(member: str, archive: str, *, is_plain: bool) -> PurePosixPath:
    """The path of an entry, if it is no link or device, and stays in the folder on any system."""
    path = PurePosixPath(member)
    if not is_plain or path.is_absolute() or ".." in path.parts or set(member) & set("\\:"):
        raise DataError(f"{archive} has the unsafe entry {member!r}; nothing was unpacked")
    return path


def _write(member: _Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    assert source is not None
    with source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
