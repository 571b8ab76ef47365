"""WebDataset's tars: which files are samples, what damage is told, and images read in place."""

import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.engine.test_train import at_step
from tests.formats import layouts
from tests.formats.builders import TURNED, write_image
from tests.formats.layouts import SPLIT, found
from tests.runs import read_log, run_config, same_weights
from vision.check import check_data, scan_data
from vision.data import cached, read_synthetic, reduced
from vision.engine import train
from vision.errors import DataError
from vision.files import Member, read_bytes
from vision.formats import Annotations, read_data, webdataset, write_data
from vision.formats.layout import find_layout
from vision.formats.tar_members import tar_members
from vision.formats.webdataset import read_webdataset
from vision.image_info import image_size, lacks_end
from vision.images import read_image
from vision.structures import Predictions

Files = Mapping[str, bytes]
BOX = json.dumps({"boxes": [[1, 2, 30, 20]], "labels": ["cat"]}).encode()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_image(tmp_path_factory.mktemp("photo") / "a.jpg").read_bytes()


def write_tar(path: Path, files: Files | list[tuple[str, bytes]]) -> Path:
    """A tar of files, of which several may have one name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items() if isinstance(files, Mapping) else files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def read(path: Path, split: str | None = None) -> Annotations:
    return read_webdataset(str(path), split)


def one_line(path: Path) -> str:
    """What is wrong with a tar, in one line."""
    with pytest.raises(DataError) as caught:
        read(path).check()
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"boxes": [[1, 2, 3, 5]], "labels": ["cat"]}, ("cat", [1, 2, 3, 5], False, False, 6)),
        ({"boxes": [[1, 2, 3, 5]], "labels": [7]}, ("7", [1, 2, 3, 5], False, False, 6)),
        ([{"bbox": [1, 2, 3, 5], "category_id": 4.0}], ("4", [1, 2, 4, 7], False, False, 15)),
        (
            {"annotations": [{"bbox": [1, 2, 3, 5], "category": "cat", "iscrowd": 1, "area": 9}]},
            ("cat", [1, 2, 4, 7], True, True, 9),
        ),
        (
            [{"bbox": [1, 2, 3, 5], "category_id": 4, "category_name": "cat", "ignore": 1}],
            ("cat", [1, 2, 4, 7], True, False, 15),
        ),
    ],
)
def test_forms_of_the_json(
    tmp_path: Path, photo: bytes, content: object, expected: tuple[object, ...]
) -> None:
    files = {"a.jpg": photo, "a.json": json.dumps(content).encode()}
    data = read(write_tar(tmp_path / "x.tar", files)).check()
    (one,) = data.records
    assert data.names == list(one.names) == [expected[0]]
    columns = (one.boxes[0].tolist(), bool(one.ignore[0]), bool(one.crowd[0]), one.areas[0])
    assert columns == expected[1:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"caption": "a cat"},
            "expected annotations (COCO's, with bbox and category_name), or box",
        ),
        (
            {"boxes": [[1, 2, 3, 5]], "labels": []},
            "expected boxes and labels to be lists of the same length",
        ),
        (
            {"boxes": [[1, 2, 3]], "labels": ["a"]},
            "expected each box to be [x0, y0, x1, y1], found",
        ),
        ([{"bbox": [1, 2, 3, 5]}], "name: expected a number or string, found None"),
        ([{"category": "cat"}], "annotations[0]: expected an object with bbox, found"),
        ("{", "found invalid JSON"),
    ],
)
def test_a_json_of_another_form_is_named(
    tmp_path: Path, photo: bytes, content: object, message: str
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    tar = write_tar(tmp_path / "x.tar", {"a.jpg": photo, "a.json": text.encode()})
    assert message in one_line(tar)
    assert f"{tar}/a.json" in one_line(tar)


def test_what_is_no_sample_is_counted_and_nothing_is_unpacked(tmp_path: Path, photo: bytes) -> None:
    files = [
        ("./in/a.jpg", photo),
        ("in/b.PNG", write_image(tmp_path / "b.png").read_bytes()),
        ("./in/a.json", BOX),
        ("in/b.json", BOX),
        ("in/b.cls", b"3"),
        ("in/b.json", b"null"),
        ("in/b.mask.png", photo),
        ("in/._a.jpg", b"of macOS"),
        ("c.jpg", photo),
        ("d.json", BOX),
        ("../../e.jpg", photo),
        ("../../e.json", BOX),
        ("/f.jpg", photo),
    ]
    tar = write_tar(tmp_path / "inner" / "x.tar", files)
    with tarfile.open(tar, "a") as opened:
        link = tarfile.TarInfo("c.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    data = read(tar).check()
    assert [one.image_id for one in data.records] == [f"{tar}/./in/a.jpg", f"{tar}/in/b.PNG"]
    assert [one.names for one in data.records] == [("cat",), ("cat",)]
    assert data.tally.counts == {
        "further files with the same key left out": 1,
        "images with several dots in their names left out": 1,
        "files with unsafe names left out": 3,
        "images without a JSON file left out": 1,
        "JSON files without an image left out": 1,
    }
    assert {path.name for path in tmp_path.rglob("*")} == {"b.png", "inner", "x.tar"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:700], "is truncated or damaged after a.jpg; copy"),
        (lambda content: content[:1300], "is truncated or damaged after a.jpg; copy"),
        (lambda content: content.rstrip(b"\0"), "is truncated or damaged after a.json; copy"),
        (lambda content: b"x" * 512 + content, "is truncated or damaged at its beginning; copy"),
        (lambda content: content[:1536] + b"x" * 512, "is truncated or damaged after a.json"),
        (lambda _: b"", "is truncated or damaged at its beginning; copy or write it again"),
        (gzip.compress, "is compressed, but images are read in place; decompress it"),
    ],
)
def test_a_damaged_tar_is_one_line(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    tar = write_tar(tmp_path / "x.tar", {"a.jpg": b"x" * 90, "a.json": b"{}" * 200})
    content = tar.read_bytes()
    assert tarfile.BLOCKSIZE * 4 == 2048 < len(content)
    tar.write_bytes(damage(content))
    assert message in one_line(tar)


def test_members_are_those_that_tarfile_finds(tmp_path: Path, photo: bytes) -> None:
    tar = write_tar(tmp_path / "x.tar", {"a.jpg": photo, "a.json": BOX})
    with tarfile.open(tar) as opened:
        infos = [(info.name, info.offset_data, info.size) for info in opened.getmembers()]
    assert tar_members(tar) == [Member(tar, *info) for info in infos]


def test_a_tar_that_changed_since_it_was_listed_is_one_line(tmp_path: Path, photo: bytes) -> None:
    tar = write_tar(tmp_path / "x.tar", {"a.jpg": photo, "a.json": BOX})
    (record,) = read(tar).check().records
    tar.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(DataError, match=r"image .*x\.tar/a\.jpg cannot be opened: the tar ends"):
        record.load()


def test_tars_are_named_by_folder_split_number_or_alone(tmp_path: Path, photo: bytes) -> None:
    names = ["train-000.tar", "train-001.tar", "val/000.tar", "val/more.tar", "other.tar"]
    for name in names:
        key = name[:-4].replace("/", "-")
        write_tar(tmp_path / name, {f"{key}.jpg": photo, f"{key}.json": BOX})
    for root, split, expected in (
        (tmp_path, "train", {"train-000", "train-001"}),
        (tmp_path, "val", {"val-000", "val-more"}),
        (tmp_path, "all", {"other"}),
        (tmp_path, None, {"train-000", "train-001", "val-000", "val-more", "other"}),
        (tmp_path / "train-{000..001}.tar", None, {"train-000", "train-001"}),
        (tmp_path / "other.tar", None, {"other"}),
    ):
        assert set(found(read(root, split).check())) == expected
    assert set(find_layout(tmp_path).splits) == {"train", "val"}
    for name in ("train-{000..001}.tar", "other.tar"):
        assert find_layout(tmp_path / name).splits == {"all": {"root": str(tmp_path / name)}}
    with pytest.raises(DataError, match=r"002\.tar of train-{000\.\.002}\.tar does not exist"):
        read(tmp_path / "train-{000..002}.tar")
    with pytest.raises(DataError, match=r"has no tar for the split test; pass the folder"):
        read(tmp_path, "test")


def test_a_folder_of_compressed_tars_has_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "train-000.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="gz is compressed, but images are read"):
        read(tmp_path)
    with pytest.raises(DataError, match="the tars of a WebDataset, for example with gunzip"):
        find_layout(tmp_path)


def test_written_in_several_tars_that_other_readers_group_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tar, in turn, has two files of each key, whose names have one dot."""
    layouts.roboflow_voc(tmp_path / "voc", {"train": SPLIT["train"]})
    keys = find_layout(tmp_path / "voc").splits["train"]
    before = read_data("voc", **keys).check()
    monkeypatch.setattr(webdataset, "TAR_BYTES", 2**11)
    write_data("webdataset", before, tmp_path / "out", "train")
    tars = sorted((tmp_path / "out").iterdir())
    assert [tar.name for tar in tars] == [f"train-00000{number}.tar" for number in range(4)]
    for tar, stem in zip(tars, SPLIT["train"], strict=True):
        with tarfile.open(tar) as opened:
            assert opened.getnames() == [f"{stem}_rf_0a1b.jpg", f"{stem}_rf_0a1b.json"]
    after = read(tmp_path / "out", "train").check()
    assert list(found(after).values()) == list(found(before).values())


@pytest.mark.parametrize("kind", ["turned.jpg", "cut.jpg", "deep.tif", "large.jpg", "none.webp"])
def test_an_image_in_a_tar_is_what_it_is_as_a_file(tmp_path: Path, kind: str) -> None:
    size = (400, 600) if kind == "large.jpg" else (40, 60)
    orientation = TURNED if kind == "turned.jpg" else None
    path = write_image(tmp_path / kind, *size, orientation=orientation)
    if kind == "cut.jpg":
        path.write_bytes(path.read_bytes()[:-40])
    (member,) = tar_members(write_tar(tmp_path / "x.tar", {kind: path.read_bytes()}))
    assert read_bytes(member) == path.read_bytes()
    assert image_size(member) == image_size(path)
    assert lacks_end(member) == lacks_end(path) == (kind == "cut.jpg")
    for annotated in (None, size):
        np.testing.assert_array_equal(read_image(member, annotated), read_image(path, annotated))


def twins(folder: Path, count: int) -> tuple[Annotations, Annotations]:
    """The same scenes as files and in a tar."""
    scenes = read_synthetic(count, 0, (128, 128))
    for name in ("coco", "webdataset"):
        write_data(name, scenes, folder / name, "train")
    files, tars = (
        read_data(name, root=str(folder / name), split="train").check()
        for name in ("coco", "webdataset")
    )
    return files, tars


def test_caches_reductions_and_checks_take_images_in_tars(tmp_path: Path) -> None:
    files, tars = twins(tmp_path, 3)
    for one, other in zip(files.records, cached(tars.records, tmp_path / "cache"), strict=True):
        np.testing.assert_array_equal(one.load(), other.load())
    shutil.copy(tmp_path / "webdataset/train-000000.tar", tmp_path / "copy.tar")
    os.utime(tmp_path / "webdataset/train-000000.tar")
    cached(tars.records, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    small = reduced(tars.records[0], (32, 32))
    assert small.size == (64, 64)
    np.testing.assert_array_equal(small.load(), reduced(files.records[0], (32, 32)).load())
    twice = replace(tars, records=[*tars.records, tars.records[0]])
    report = check_data({"train": twice}, scan_data({"train": twice}))
    assert "file listed twice" in {finding.kind for finding in report.findings}
    scans = scan_data({"train": files}), scan_data({"train": tars})
    assert [one.scan.digest for one in scans[0]] == [one.scan.digest for one in scans[1]]


@pytest.mark.slow
def test_training_on_tars_is_that_on_files_also_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the second epoch; images are read by two processes."""
    twins(tmp_path, 8)
    overrides = ("train.workers=2", "data.val=null", "train.tensorboard=false")
    files, tars = (
        run_config(
            *overrides, f"data.train={{format: {name}, root: {tmp_path / name}, split: train}}"
        )
        for name in ("coco", "webdataset")
    )
    train(files, tmp_path / "files")

    def interrupt(_: Predictions) -> Predictions:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        at_step(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(tars, tmp_path / "tars")
    assert len(read_log(tmp_path / "tars")) == 1
    train(tars, tmp_path / "tars", resume=True)
    assert read_log(tmp_path / "tars") == read_log(tmp_path / "files")
    assert same_weights(tmp_path / "tars/last.safetensors", tmp_path / "files/last.safetensors")
