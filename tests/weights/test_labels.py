"""Class names from lists and label maps."""

from pathlib import Path

import pytest

from vision.errors import WeightsError
from vision.weights.labels import COCO_NAMES, VOC_NAMES, canonical, read_labels


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("l.txt", "cat\ndog\n", {1: "cat", 2: "dog"}),
        ("l.txt", "BACKGROUND\ncat\n\ndog", {1: "cat", 2: "dog"}),
        ("l.txt", "BACKGROUND,traffic light,dog\n", {1: "traffic light", 2: "dog"}),
        ("l.txt", "\ufeff__background__\r\ncat\r\n", {1: "cat"}),
        (
            "m.pbtxt",
            """item {\n  name: "/m/01g317"\n  id: 1\n  display_name: "person"\n}
            item {\n  id: 13\n  name: 'stop sign'\n}""",
            {1: "person", 13: "stop sign"},
        ),
        (
            "m.pbtxt",
            "# a map\nitem { id: 0 name: 'none_of_the_above' }\nitem{id:1 name:'a'}",
            {1: "a"},
        ),
    ],
)
def test_names_by_number(tmp_path: Path, name: str, text: str, expected: dict[int, str]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "keypoints.pbtxt",
            "item { id: 1 name: 'person' keypoints { id: 0 label: 'c' } } item { id: 2 name: 'b' }",
            {1: "person", 2: "b"},
        ),
        ("colon.PBTXT", "item: { id: 1, name: 'a}b' } # item { id: 9 }", {1: "a}b"}),
        ("quoted.pbtxt", 'item { id: 1 name: "a \\"q\\"" }', {1: 'a "q"'}),
        ("angles.pbtxt", "item < id: 1 name: 'caf\u00e9' >", {1: "caf\u00e9"}),
    ],
)
def test_label_maps_in_any_form(
    tmp_path: Path, name: str, text: str, expected: dict[int, str]
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.pbtxt", b"item { id: 1 name: 'a' } item { id: 1 name: 'b' }"),
        ("m.pbtxt", b"item { id: 1 name: 'a' "),
        ("l.txt", b""),
        ("l.txt", b"BACKGROUND\n"),
        ("l.txt", b"\xff\xfe\x00"),
        ("m.pbtxt", b"item { id: 1 }"),
        ("m.pbtxt", b"item { name: 'cat' }"),
        ("m.pbtxt", b"cat\ndog\n"),
        ("m.pbtxt", b"item { id: 1 name: 'a' name: 'b' }"),
        ("m.pbtxt", b"item {" * 50_000),
    ],
)
def test_what_is_no_list_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name) as caught:
        read_labels(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read_labels(tmp_path / "none.txt")


def test_vocs_names_are_cocos_under_their_aliases() -> None:
    assert len(COCO_NAMES) == 80
    assert (COCO_NAMES[1], COCO_NAMES[44], COCO_NAMES[90]) == ("person", "bottle", "toothbrush")
    assert set(VOC_NAMES) <= {canonical(name) for name in COCO_NAMES.values()}
