"""Public data sets, loaded from a server on this machine that cuts, forgets and changes files."""

import errno
import hashlib
import io
import os
import shlex
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from torchvision.datasets.voc import DATASET_YEAR_DICT

from tests.formats.builders import voc_object, voc_xml, write_coco, write_split, write_voc
from vision.cli.commands import parse
from vision.cli.main import main
from vision.config import load_config
from vision.data import fetch, read_sources
from vision.data.download import DOWNLOADS, MARKER, download, train_command
from vision.data.fetch import Archive
from vision.errors import DataError

VOC_PREFIX = "VOCdevkit/VOC2007"


class Server(ThreadingHTTPServer):
    """Serves ``files``, and notes of each request what range it asked for.

    The connections of ``cuts`` end after so many bytes, one after the other.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files = dict[str, bytes]()
        self.cuts = list[int]()
        self.version: str | None = '"1"'
        self.has_ranges = True
        self.asked = list[str | None]()


class Handler(BaseHTTPRequestHandler):
    """Answers for a `Server`."""

    server: Server

    def do_GET(self) -> None:
        """Send a file, from the byte on that is asked for."""
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        content = self.server.files.get(self.path.strip("/"))
        if content is None:
            self.send_error(404)
            return
        total, start = len(content), 0
        if asked and self.server.has_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start and start >= total:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        if self.server.version is not None:
            self.send_header("ETag", self.server.version)
        self.end_headers()
        end = start + self.server.cuts.pop(0) if self.server.cuts else total
        self.wfile.write(content[start:end])

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    with Server() as serving:
        thread = Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def tar_of(folder: Path, prefix: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, prefix)
    return stream.getvalue()


def zip_of(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def offer(
    monkeypatch: pytest.MonkeyPatch, server: Server, name: str, contents: Mapping[str, bytes]
) -> None:
    """Put stand-ins in the place of a data set's archives."""
    server.files = dict(contents)
    archives = tuple(
        Archive(f"{server.url}/{file}", hashlib.md5(content).hexdigest(), len(content))  # noqa: S324
        for file, content in contents.items()
    )
    monkeypatch.setitem(DOWNLOADS, name, replace(DOWNLOADS[name], archives=archives))


def voc_tar(folder: Path, stem: str, *splits: str, prefix: str = VOC_PREFIX) -> bytes:
    root = write_voc(folder, {stem: voc_xml(voc_object("cat", (1, 1, 20, 20)))})
    (root / "ImageSets/Main/train.txt").unlink()
    for split in splits:
        write_split(root, stem, split)
    (root / "SegmentationClass").mkdir()
    (root / "SegmentationClass" / f"{stem}.png").write_bytes(b"not for a detector")
    return tar_of(root, prefix)


@pytest.fixture
def voc(monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path) -> bytes:
    """Offer VOC 2007 of one archive; its content."""
    content = voc_tar(tmp_path / "made", "000001", "trainval")
    offer(monkeypatch, server, "voc2007", {"a.tar": content})
    return content


def voc2007(made: Path) -> dict[str, bytes]:
    return {
        "trainval.tar": voc_tar(made / "a", "000001", "train", "val", "trainval"),
        "test.tar": voc_tar(made / "b", "000002", "test"),
    }


def voc2012(made: Path) -> dict[str, bytes]:
    root = write_voc(made, {"2008_000001": voc_xml(voc_object("cat", (1, 1, 20, 20)))})
    write_split(root, "2008_000001", "val")
    return {"trainval.tar": tar_of(root, "VOCdevkit/VOC2012")}


def coco2017(made: Path) -> dict[str, bytes]:
    content = {
        "images": [{"id": 1, "file_name": "000000000001.jpg", "width": 60, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 17, "bbox": [0, 0, 20, 20]}],
        "categories": [{"id": 17, "name": "cat"}],
    }
    for split in ("train2017", "val2017"):
        write_coco(made, content, split=split)
    files = {
        path.relative_to(made).as_posix(): path.read_bytes()
        for path in made.rglob("*")
        if path.is_file()
    }
    return {
        f"{folder}.zip": zip_of({name: files[name] for name in files if name.startswith(folder)})
        for folder in ("annotations", "train2017", "val2017")
    }


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def error_of(root: Path, capsys: pytest.CaptureFixture[str], name: str = "voc2007") -> str:
    """The one line of a command that fails."""
    capsys.readouterr()
    assert main(["download", name, "--root", str(root)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ssdlite download: error: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(("name", "make"), [(f.__name__, f) for f in (voc2007, voc2012, coco2017)])
def test_the_last_line_trains_on_what_was_loaded_and_a_second_call_does_nothing(
    name: str,
    make: Callable[[Path], dict[str, bytes]],
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(monkeypatch, server, name, make(tmp_path / "made"))
    root = tmp_path / "my data"
    assert main(["download", name, "--root", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == [
        f"{root}: {name} is complete",
        "next:",
        "  Train on it:",
        f"    {train_command(name, root)}",
    ]
    assert names_in(root) == {*DOWNLOADS[name].folders, MARKER}
    program, command, *words = shlex.split(lines[-1])
    assert (program, command) == ("ssdlite", "train")
    options = parse("train", words)
    config = load_config(options.config, options.overrides)
    for source in (config.data.train, config.data.val):
        annotations = read_sources(source, "data.train")
        assert [(record.names, record.size) for record in annotations.records] == [
            (("cat",), (40, 60))
        ]
        assert annotations.records[0].load().shape == (40, 60, 3)
    server.asked.clear()
    assert main(["download", name, "--root", str(root)]) == 0
    assert "is complete already, nothing was downloaded" in capsys.readouterr().out
    assert server.asked == []


@pytest.mark.parametrize(
    "root", ["VOC2007", "2007", "my data", "a: b #c", "[x", "ä 'q' \"q\"", "{}", "[\U0001f600"]
)
def test_the_command_names_any_folder(root: str) -> None:
    options = parse("train", shlex.split(train_command("voc2007", Path(root)))[2:])
    data = load_config(options.config, options.overrides).data
    assert [getattr(source, "root", None) for source in (data.train, data.val)] == [root, root]


def test_the_table_is_torchvisions() -> None:
    ours = [archive for name in ("voc2007", "voc2012") for archive in DOWNLOADS[name].archives]
    theirs = [DATASET_YEAR_DICT[year] for year in ("2007", "2007-test", "2012")]
    assert [(a.url, a.name, a.md5) for a in ours] == [
        (entry["url"], entry["filename"], entry["md5"]) for entry in theirs
    ]


def test_a_cut_connection_is_taken_up(server: Server, voc: bytes, tmp_path: Path) -> None:
    server.cuts = [1000, 500]
    assert download("voc2007", tmp_path / "root")
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_without_a_network_what_was_loaded_stays(
    server: Server, voc: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    server.cuts = [1000, 0]
    error = error_of(root, capsys)
    assert f"lost after 1000 of {len(voc)} bytes; run the same command again to" in error
    assert (root / ".voc2007.partial/a.tar.partial").read_bytes() == voc[:1000]
    server.asked.clear()
    assert download("voc2007", root)
    assert server.asked == ["bytes=1000-"]


def test_no_network_at_all(
    server: Server,
    voc: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Server() as other:
        nowhere = f"{other.url}/a.tar"  # closed from here on
    archive = replace(DOWNLOADS["voc2007"].archives[0], url=nowhere)
    data = replace(DOWNLOADS["voc2007"], archives=(archive,))
    monkeypatch.setitem(DOWNLOADS, "voc2007", data)
    error = error_of(tmp_path / "root", capsys)
    assert f"{nowhere} cannot be reached: " in error
    by_hand = Path(error.rstrip().rpartition("by hand as ")[2])
    by_hand.write_bytes(voc)
    assert download("voc2007", tmp_path / "root")


def test_an_archive_that_the_server_has_not(
    server: Server, voc: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files.clear()
    error = error_of(tmp_path / "root", capsys)
    assert f"{server.url}/a.tar: the server answers 404 Not Found; try again later" in error


@pytest.mark.parametrize("change", ["version", "length", "shorter", "no ranges", "no record"])
def test_what_cannot_be_continued_starts_over(
    change: str,
    server: Server,
    voc: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "root"
    server.cuts = [len(voc) - 1, 0]
    error_of(root, capsys)
    if change == "no ranges":
        server.has_ranges = False
    elif change == "no record":
        (root / ".voc2007.partial/a.tar.version").unlink()
    elif change == "version":
        server.version = '"2"'
    else:  # a tar file ends in zeros
        content = voc + bytes(10240) if change == "length" else voc[:-512]
        offer(monkeypatch, server, "voc2007", {"a.tar": content})
    server.asked.clear()
    assert download("voc2007", root)
    assert server.asked == [f"bytes={len(voc) - 1}-"] + [None] * (change != "no ranges")


def test_a_wrong_checksum(
    server: Server, voc: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    server.files["a.tar"] = bytes(len(voc))
    error = error_of(root, capsys)
    assert f"expected {DOWNLOADS['voc2007'].archives[0].md5}; it was deleted, run the" in error
    assert names_in(root) == {".voc2007.partial"}
    server.files["a.tar"] = voc
    assert download("voc2007", root)
    assert server.asked == [None, None]


def test_too_little_space_is_said_before_anything_is_loaded(
    server: Server,
    voc: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    usage = SimpleNamespace(free=2 * len(voc))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "0.00 GB free, and voc2007 needs 0.00 GB; make room" in error_of(
        tmp_path / "root", capsys
    )
    assert server.asked == []
    usage.free = 3 * len(voc)
    assert download("voc2007", tmp_path / "root")


def test_a_disk_that_fills_while_loading(
    server: Server, voc: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files fails in the midst of a write, as a full disk does."""
    resource = pytest.importorskip("resource")
    root, limits = tmp_path / "root", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DataError) as caught:
            download("voc2007", root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    reason = os.strerror(errno.EFBIG)
    assert str(caught.value) == (
        f"--root {root} cannot be written: {reason}; what was downloaded is kept; run the same"
        " command again to continue"
    )
    server.asked.clear()
    assert main(["download", "voc2007", "--root", str(root)]) == 0
    assert server.asked == ["bytes=1000-"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes as POSIX has them")
@pytest.mark.parametrize(
    "name", ["a.tar", "a.tar.partial", "a.tar.version", f"../{MARKER}", "link to a file"]
)
def test_what_lies_in_the_place_of_a_file_is_named_at_once(
    server: Server, voc: bytes, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A named pipe, at which opening a file waits for the other end; a link is not written to."""
    root = tmp_path / "root"
    work, precious = root / ".voc2007.partial", tmp_path / "precious"
    work.mkdir(parents=True)
    precious.write_text("mine")
    if name == "link to a file":
        (work / "a.tar.partial").symlink_to(precious)
    else:
        os.mkfifo(work / name)
    said = error_of(root, capsys)
    assert "it is not a regular file" in said or "it is a link" in said
    assert precious.read_text() == "mine"


def test_a_disk_that_fills_while_unpacking(
    server: Server,
    voc: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "root"

    def fill(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", fill)
        assert f"--root {root} cannot be written: No space left on device" in error_of(root, capsys)
    assert names_in(root) == {".voc2007.partial"}
    assert names_in(root / ".voc2007.partial") == {"a.tar", "a.tar.version"}
    assert download("voc2007", root)
    assert server.asked == [None]


def test_a_call_ends_what_a_killed_one_left(server: Server, voc: bytes, tmp_path: Path) -> None:
    """Killed while unpacking, while the folders moved, and while the archives were deleted."""
    root = tmp_path / "root"
    work = root / ".voc2007.partial"
    (work / "unpacking" / "JPEGImages").mkdir(parents=True)
    (work / "unpacking" / "JPEGImages" / "half.jpg").write_bytes(b"half")
    assert download("voc2007", root)
    assert names_in(root / "JPEGImages") == {"000001.jpg"}

    (root / MARKER).unlink()
    (work / "unpacked").mkdir(parents=True)
    (root / "JPEGImages").rename(work / "unpacked" / "JPEGImages")
    server.asked.clear()
    assert download("voc2007", root)
    assert names_in(root) == {*DOWNLOADS["voc2007"].folders, MARKER}
    assert names_in(root / "JPEGImages") == {"000001.jpg"}

    work.mkdir()
    (work / "a.tar").write_bytes(voc)
    assert not download("voc2007", root)
    assert not work.exists()
    assert server.asked == []


def hostile_tar(name: str, kind: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        good = tarfile.TarInfo(f"{VOC_PREFIX}/JPEGImages/1.jpg")
        archive.addfile(good, io.BytesIO())
        bad = tarfile.TarInfo(name)
        bad.type, bad.linkname = kind, "/etc/passwd"
        archive.addfile(bad, io.BytesIO())
    return stream.getvalue()


def hostile_zip(name: str, *, link: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"{VOC_PREFIX}/JPEGImages/1.jpg", b"")
        info = zipfile.ZipInfo(name)
        info.filename = name  # as it is on any system
        info.external_attr = (stat.S_IFLNK if link else stat.S_IFREG) << 16
        archive.writestr(info, b"/etc/passwd")
    return stream.getvalue()


OUTSIDE = (
    "../x",
    "/tmp/x",  # noqa: S108
    f"{VOC_PREFIX}/JPEGImages/../../../../x",
    f"{VOC_PREFIX}/JPEGImages/..\\..\\x",
    "C:x",
)
INSIDE = f"{VOC_PREFIX}/JPEGImages/x"


@pytest.mark.parametrize(
    ("file", "content"),
    [("a.tar", hostile_tar(name, tarfile.REGTYPE)) for name in OUTSIDE]
    + [
        ("a.tar", hostile_tar(INSIDE, kind))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
    ]
    + [("a.zip", hostile_zip(name)) for name in OUTSIDE]
    + [("a.zip", hostile_zip(INSIDE, link=True))],
)
def test_a_hostile_archive_is_not_unpacked(
    file: str,
    content: bytes,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(monkeypatch, server, "voc2007", {file: content})
    root = tmp_path / "root"
    assert f"{file} has the unsafe entry" in error_of(root, capsys)
    assert {path.name for path in tmp_path.rglob("*")} == {
        "root",
        ".voc2007.partial",
        file,
        f"{file}.version",
    }


def test_other_data_are_left_alone(
    server: Server, voc: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    (own / "JPEGImages").mkdir(parents=True)
    assert f"--root {own} already has JPEGImages; choose" in error_of(own, capsys)
    assert names_in(own) == {"JPEGImages"}
    root = tmp_path / "root"
    root.mkdir()
    (root / "notes.txt").write_text("one's own")
    assert download("voc2007", root)
    assert (root / "notes.txt").read_text() == "one's own"
    assert f"--root {root} holds voc2007" in error_of(root, capsys, "voc2012")
    (root / "Annotations").rename(tmp_path / "Annotations")
    assert "already has ImageSets, JPEGImages" in error_of(root, capsys)


def test_a_folder_that_cannot_be_made(
    server: Server, voc: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        assert f"--root {root} cannot be written: " in error_of(root, capsys)
    if os.name != "nt" and os.geteuid():  # root may write anywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        assert "Permission denied" in error_of(tmp_path / "closed", capsys)
    assert server.asked == []
