"""Damaged files of every format that is read end in a right result or in one line.

``FUZZ_EXAMPLES=20000 pytest tests/test_fuzz.py`` tries more than the 200 examples a reader.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.convert.test_untrusted import GRAPH, manifest
from tests.formats import layouts
from tests.media.samples import make_files
from vision.config import Config, load_config
from vision.convert.tensorflow import read_tensorflow
from vision.detection import Journal
from vision.detection.coco_ids import CocoIds
from vision.detection.schema import Object
from vision.errors import VisionError
from vision.formats import read_data
from vision.media import find_inputs
from vision.metrics import read_coco_results
from vision.weights.labels import read_labels
from vision.weights.migration import parse_metadata

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
MAX_LENGTH = 2000
"""Characters of a message."""
SPLIT = {"train": ["img0", "img1"]}
SETTINGS = {"weights": "w", "threshold": 0.5}


class Reader(NamedTuple):
    """A reader of files.

    Attributes:
        file: The file to damage, below a folder.
        build: Writes sound files into a folder.
        read: Reads the folder, and checks the result.
    """

    file: str
    build: Callable[[Path], object]
    read: Callable[[Path], object]


def check_message(message: str) -> None:
    assert message
    assert len(message) < MAX_LENGTH, message
    assert len(message.splitlines()) == 1, message


def data(file: str, name: str, write: Callable[[Path, layouts.Splits], None], split: str) -> Reader:
    """A format of annotations: usable images have their boxes inside, each fault is one line."""

    def read(folder: Path) -> None:
        found = read_data(name, root=str(folder), split=split)
        for fault in found.faults:
            check_message(fault.message)
        for record in found.records:
            height, width = record.size
            assert len(record.boxes) == len(record.names) == len(record.areas)
            assert np.isfinite(record.boxes).all()
            assert (record.boxes >= 0).all()
            assert (record.boxes <= [width, height, width, height]).all()
            assert (record.boxes[:, :2] < record.boxes[:, 2:]).all()
            assert set(record.names) <= set(found.names)
            assert Path(record.image_id).resolve().is_relative_to(folder.resolve())
        assert len(set(found.names)) == len(found.names)
        assert all(found.names)

    return Reader(file, lambda folder: write(folder, SPLIT), read)


def text(file: str, content: str, read: Callable[[Path], object]) -> Reader:
    """A file of its own."""
    return Reader(
        file,
        lambda folder: (folder / file).write_text(content, encoding="utf-8"),
        lambda folder: read(folder / file),
    )


def read_config(path: Path) -> None:
    assert isinstance(load_config(path), Config)


def read_names(path: Path) -> None:
    assert all(read_labels(path).values())


def read_metadata(key: str, path: Path) -> None:
    sound = {"config": "{}", "names": '["a", "b"]', "training": "{}"}
    damaged = path.read_bytes().decode(errors="replace")
    _, names, training = parse_metadata(sound | {key: damaged}, "weights w")
    assert all(names)
    assert len(set(names)) == len(names)
    assert isinstance(training, dict)


def read_list(path: Path) -> None:
    """Lines that lead out of the folder are not tried: a search of the disk takes long."""
    content = path.read_bytes().decode(errors="replace")
    places = [os.path.normpath(path.parent / line.strip()) for line in content.splitlines()]
    if not all(Path(place).is_relative_to(path.parent) for place in places):
        return
    problems: list[str] = []
    for source in find_inputs([str(path)], problems.append):
        assert source.kind == "stream" or source.path.is_relative_to(path.parent)
    for problem in problems:
        check_message(problem)


def read_journal(folder: Path) -> None:
    with Journal(folder, SETTINGS, resume=True) as journal:
        for entry in journal.entries(list(journal.done)):
            assert isinstance(entry["detections"], list)


def write_journal(folder: Path) -> None:
    found: Object = {"label": "cat", "score": 0.5, "box": [0, 0, 1, 1]}
    with Journal(folder, SETTINGS, resume=False) as journal:
        for name in ("a.jpg", "b.jpg"):
            journal.start(name)
            journal.add({"image": name, "size": [1, 1], "detections": [found]})
            journal.finish(name, name)


def write_list(folder: Path) -> None:
    make_files(folder, "a.jpg", "sub/b.png", "sub/c.jpg", "sub/film.mp4")
    (folder / "l.txt").write_text(
        "# mine\na.jpg\nsub/*.png\nsub\nrtsp://me:secret@cam/live?x=1\n0\n"
    )


def write_csv(folder: Path, splits: layouts.Splits) -> None:
    layouts.image_folder(folder, splits)
    file = folder / "train/metadata.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.unlink()
    with file.with_suffix(".csv").open("w", newline="") as opened:
        rows = csv.DictWriter(opened, ["file_name", "objects"])
        rows.writeheader()
        rows.writerows(lines)


def write_manifest(folder: Path) -> None:
    (folder / "shard").write_bytes(np.zeros(4, np.float32).tobytes())
    manifest(folder, (["shard"], [1, 1, 2, 2]))


def read_graph(path: Path) -> None:
    for tensor in read_tensorflow(path).values():
        assert isinstance(tensor, torch.Tensor)


CONFIG = """# mine
_base_: quickstart
model: {backbone: mobilenet_v2, image_size: 320}
train: &again
  epochs: 3
  seed: 7
optim: {lr: 1.e-2}
data:
  classes: [cat, "dog"]
  train:
    - {format: voc, root: mine, split: train}
"""
DETECTIONS = json.dumps(
    [
        {"image_id": number, "category_id": 1, "bbox": [1.5, 2, 30, 20], "score": 0.5}
        for number in (0, 1)
    ]
)


def write_detections(folder: Path) -> None:
    layouts.coco(folder, SPLIT)
    (folder / "detections.json").write_text(DETECTIONS)


INSTANCES = "annotations/instances_train2017.json"
READERS = {
    "configuration": text("c.yaml", CONFIG, read_config),
    "weights' configuration": text(
        "m.json",
        '{"model": {"image_size": 320}, "train": {"seed": 1}}',
        partial(read_metadata, "config"),
    ),
    "weights' names": text("m.json", '["cat", "dog"]', partial(read_metadata, "names")),
    "weights' training": text(
        "m.json", '{"metrics": {"map": 0.5}, "epoch": 3}', partial(read_metadata, "training")
    ),
    "COCO": data(INSTANCES, "coco", layouts.coco, "train2017"),
    "COCO ids": Reader(
        INSTANCES,
        lambda folder: layouts.coco(folder, SPLIT),
        lambda folder: CocoIds(["cat", "dog"], folder / INSTANCES),
    ),
    "COCO ground truth": Reader(
        INSTANCES,
        write_detections,
        lambda folder: read_coco_results(folder / INSTANCES, folder / "detections.json"),
    ),
    "COCO detections": Reader(
        "detections.json",
        write_detections,
        lambda folder: read_coco_results(folder / INSTANCES, folder / "detections.json"),
    ),
    "VOC": data("Annotations/img0.xml", "voc", layouts.voc, "train"),
    "VOC list": data("ImageSets/Main/train.txt", "voc", layouts.voc, "train"),
    "YOLO rows": data("labels/train/img0.txt", "yolo", layouts.yolo, "train"),
    "YOLO data.yaml": data("data.yaml", "yolo", layouts.yolo, "train"),
    "YOLO classes.txt": data("classes.txt", "yolo", layouts.yolo_without_yaml, "train"),
    "YOLO list": data(
        "train.txt", "yolo", lambda f, s: layouts.cvat_yolo(f, {"all": s["train"]}), "train"
    ),
    "Open Images": data("train-annotations-bbox.csv", "open_images", layouts.open_images, "train"),
    "Open Images classes": data(
        "class-descriptions-boxable.csv", "open_images", layouts.open_images, "train"
    ),
    "imagefolder": data("train/metadata.jsonl", "image_folder", layouts.image_folder, "train"),
    "imagefolder CSV": data("train/metadata.csv", "image_folder", write_csv, "train"),
    "WebDataset": data("train-000000.tar", "webdataset", layouts.webdataset, "train"),
    "labels": text("l.txt", "background\ncat\ndog\n", read_names),
    "label map": text(
        "l.pbtxt", "item { id: 1 name: 'cat' }\nitem { id: 2 display_name: 'dog' }", read_names
    ),
    "list of inputs": Reader("l.txt", write_list, lambda folder: read_list(folder / "l.txt")),
    "journal": Reader(Journal.NAME, write_journal, read_journal),
    "frozen graph": Reader(
        "g.pb",
        lambda folder: (folder / "g.pb").write_bytes(GRAPH),
        lambda folder: read_graph(folder / "g.pb"),
    ),
    "graph model": Reader(
        "model.json", write_manifest, lambda folder: read_graph(folder / "model.json")
    ),
}

HOSTILE = [
    *(word.encode() for word in ("", "null", "true", "NaN", "1e999", "-1", "0", "1.5", "9" * 400)),
    *(
        word.encode()
        for word in ("9" * 5000, "-0.0", "[]", "{}", "''", '""', "- ", "&a *a", "!!int")
    ),
    *(word.encode() for word in ('"\\ud800"', '"\\u0000"', "\u2028", "\u0085", "\ufeff", "\u0661")),
    *(
        word.encode()
        for word in ("../../outside", "/", "..", "\\", "%2e%2e%2f", "x" * 5000, "e\u0301")
    ),
    *(
        word.encode()
        for word in ("&lt;", "<a>", "</a>", "]]>", "{", "}", ",", ":", "\n", "\r", "\t")
    ),
    *(word * 1100 for word in (b"[", b'{"a":', b"<a>", b"- ", b"item {")),
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\xff\xfe", b"inf", b"1" * 19, b"1e308", b'"', b"'"),
]
TOKEN = re.compile(rb"[\w.+-]+|\s+|.", re.DOTALL)
Change = tuple[str, int, int]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "replace", "insert", "copy", "swap", "remove"]),
        st.integers(0, 2**12),
        st.integers(0, 2**12),
    ),
    min_size=1,
    max_size=4,
)


def damage(content: bytes, changes: Sequence[Change]) -> bytes:
    """The content with bytes changed or cut off, and words replaced, added, swapped or left out."""
    for what, place, choice in changes:
        if what in {"flip", "cut"} and content:
            index = place % len(content)
            rest = b"" if what == "cut" else bytes([choice % 256]) + content[index + 1 :]
            content = content[:index] + rest
            continue
        words = TOKEN.findall(content) or [b""]
        index, other = place % len(words), choice % len(words)
        if what == "replace":
            words[index] = HOSTILE[choice % len(HOSTILE)]
        elif what == "insert":
            words.insert(index, HOSTILE[choice % len(HOSTILE)])
        elif what == "copy":
            words[index] = words[other]
        elif what == "swap":
            words[index], words[other] = words[other], words[index]
        else:
            del words[min(index, other) : max(index, other)]
        content = b"".join(words)
    return content


@pytest.fixture(scope="module", params=READERS)
def sound(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Reader, Path, bytes]:
    """A reader, a folder with sound files for it, and the content of the one to damage."""
    reader = READERS[request.param]
    folder = tmp_path_factory.mktemp("fuzz")
    reader.build(folder)
    reader.read(folder)  # which raises nothing yet
    return reader, folder, (folder / reader.file).read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # protobuf at escapes
@given(CHANGES)
@settings(max_examples=EXAMPLES)
def test_a_damaged_file_is_read_or_is_one_line(
    sound: tuple[Reader, Path, bytes], changes: list[Change]
) -> None:
    reader, folder, content = sound
    path = folder / reader.file
    path.write_bytes(damage(content, changes))
    try:
        reader.read(folder)
    except VisionError as error:
        if reader.file == "c.yaml":  # A configuration has a line for each of its errors.
            check_message(" ".join(str(error).splitlines()))
        else:
            check_message(str(error))
