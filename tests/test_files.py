"""Whatever a user names that is no plain file is one line, from each reader, and none waits."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.permissions import heeded_permissions
from vision.config import load_config
from vision.convert import convert_weights
from vision.detection.coco_ids import CocoIds
from vision.errors import VisionError
from vision.files import check_regular, expand_home, read_bytes, read_text
from vision.formats.folders import head_of
from vision.formats.json_file import load_json
from vision.formats.paths import read_lines
from vision.formats.voc_xml import parse_xml
from vision.image_info import image_size
from vision.images import read_image
from vision.media import find_inputs
from vision.metrics import read_coco_results
from vision.weights import find_weights, load_any
from vision.weights.labels import read_labels

pytestmark = pytest.mark.skipif(os.name == "nt", reason="devices and pipes as POSIX has them")

READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "configuration": (".yaml", load_config),
    "weights": (".safetensors", load_any),
    "graph": (".onnx", find_weights),
    "labels": (".txt", read_labels),
    "label map": (".pbtxt", read_labels),
    "state dict": (".pth", lambda path: convert_weights("qfgaohao", str(path))),
    "frozen graph": (".pb", lambda path: convert_weights("tensorflow", str(path))),
    "graph model": (".json", lambda path: convert_weights("tensorflow", str(path))),
    "checkpoint": (".index", lambda path: convert_weights("tensorflow", str(path)[:-6])),
    "JSON": (".json", lambda path: load_json(path, dict, "an object")),
    "XML": (".xml", parse_xml),
    "list": (".txt", read_lines),
    "head": (".csv", head_of),
    "image": (".jpg", read_image),
    "size": (".jpg", image_size),
    "input": (".jpg", lambda path: [read_image(s.path) for s in find_inputs([str(path)])]),
    "list of inputs": (".txt", lambda path: find_inputs([str(path)])),
    "annotations": (".json", lambda path: CocoIds(["cat"], path)),
    "detections": (".json", lambda path: read_coco_results(instances(path), path)),
}


def instances(beside: Path) -> Path:
    path = beside.parent.parent / "instances.json"
    path.write_text('{"images": [], "annotations": [], "categories": []}', encoding="utf-8")
    return path


def _fail(_number: int, _frame: FrameType | None) -> None:
    pytest.fail("it waits")  # no Exception, which a reader may take for a damaged file


@pytest.fixture
def impatient() -> Iterator[None]:
    """End a test that waits for the writer of a pipe."""
    before = signal.signal(signal.SIGALRM, _fail)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "kind", ["pipe", "device", "folder", "NUL", "surrogate", "long", "locked", "in a locked folder"]
)
@pytest.mark.usefixtures("impatient")
def test_what_is_no_plain_file_is_one_line(tmp_path: Path, name: str, kind: str) -> None:
    suffix, read = READERS[name]
    inner = {"NUL": "a\0b", "surrogate": "a\ud800b", "long": "a" * 300}.get(kind, "file")
    path = tmp_path / "data" / f"{inner}{suffix}"
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif "locked" in kind:
        path.write_text("content")
        (path if kind == "locked" else path.parent).chmod(0)
    with heeded_permissions(), pytest.raises(VisionError) as caught:
        read(path)
    path.parent.chmod(0o700)
    reasons = {
        "pipe": "not a regular file",
        "device": "not a regular file",
        "folder": "Is a directory",
        "long": "File name too long",
        "locked": "Permission denied",
        "in a locked folder": "Permission denied",
    }
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    # A folder stands for the files in it where inputs are named, or the weights of a run.
    if kind != "folder" or name not in {"weights", "graph", "input", "list of inputs"}:
        assert reasons.get(kind, "no file can have this name") in message


@pytest.mark.parametrize(("kind", "reason"), [("pipe", "not a regular file"), ("none", "No such")])
def test_a_missing_shard_or_a_pipe_is_named(tmp_path: Path, kind: str, reason: str) -> None:
    if kind == "pipe":
        os.mkfifo(tmp_path / "shard")
    path = tmp_path / "model.json"
    path.write_text('{"weightsManifest": [{"paths": ["shard"], "weights": []}]}', encoding="utf-8")
    with pytest.raises(VisionError, match=f"shard cannot be read: .*{reason}"):
        convert_weights("tensorflow", str(path))


def test_a_limit_is_met_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert check_regular(path) == 2**40
    with pytest.raises(OSError, match="1,099,511,627,776 bytes, more than the 4,294,967,296"):
        read_bytes(path)


@pytest.mark.parametrize("name", ["configuration", "labels", "XML", "JSON", "annotations", "list"])
def test_a_file_of_a_terabyte_is_one_line(tmp_path: Path, name: str) -> None:
    suffix, read = READERS[name]
    path = tmp_path / f"sparse{suffix}"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(VisionError, match="1,099,511,627,776 bytes"):
        read(path)


def test_only_what_ends_the_lines_of_files_ends_a_line(tmp_path: Path) -> None:
    """Unicode's other line breaks are part of a name."""
    path = tmp_path / "names.txt"
    path.write_bytes("a\u2028b\r\nc\x0cd\re\n\nf".encode())
    assert read_lines(path) == ["a\u2028b", "c\x0cd", "e", "f"]
    assert read_labels(path) == {1: "a\u2028b", 2: "c\x0cd", 3: "e", 4: "f"}


def test_the_home_folder_of_an_unknown_user_stays_as_it_is() -> None:
    assert expand_home("~/a") == Path.home() / "a"
    assert expand_home("~no such user/a") == Path("~no such user/a")


def test_text_may_begin_with_a_byte_order_mark_and_must_be_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9")
    assert read_text(path) == "caf\u00e9"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(OSError, match="it is not UTF-8 text"):
        read_text(path)


@pytest.mark.parametrize("name", ["configuration", "JSON", "annotations", "graph model", "XML"])
def test_absurd_depth_is_one_line_or_nothing(tmp_path: Path, name: str) -> None:
    suffix, read = READERS[name]
    path = tmp_path / f"deep{suffix}"
    path.write_text("<a>" * 10**5 if name == "XML" else "[" * 10**5, encoding="utf-8")
    with pytest.raises(VisionError) as caught:
        read(path)
    assert len(str(caught.value)) < 500
