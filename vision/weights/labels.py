"""Class names: lists that other projects ship, and synonyms."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from vision.errors import WeightsError, first_line
from vision.files import MAX_TEXT_BYTES, read_text, split_lines

_VOC = """
aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse,
motorbike, person, pottedplant, sheep, sofa, train, tvmonitor
"""
VOC_NAMES = tuple(_VOC.replace("\n", " ").strip().split(", "))
"""PASCAL VOC's classes in alphabetical order, as all its detectors number them."""

_COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire
hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports
ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine
glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot
dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
vase, scissors, teddy bear, hair drier, toothbrush
"""
_COCO_GAPS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
COCO_NAMES: dict[int, str] = dict(
    zip(
        (number for number in range(1, 91) if number not in _COCO_GAPS),
        _COCO.replace("\n", " ").strip().split(", "),
        strict=True,
    )
)
"""COCO's 80 classes by category id; ten of the ids from 1 to 90 are unused."""

_ALIASES = {
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "tv": "tvmonitor",
    "couch": "sofa",
    "potted plant": "pottedplant",
    "dining table": "diningtable",
}
_LABEL_MAP_SCHEMA = """
name: "label_map.proto"
message_type {
  name: "Item"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "id" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "display_name" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type {
  name: "LabelMap"
  field { name: "item" number: 1 type: TYPE_MESSAGE type_name: ".Item" label: LABEL_REPEATED }
}
"""
"""The fields of ``string_int_label_map.proto`` (Object Detection API) that are read."""


def canonical(name: str) -> str:
    """Return the lower-case name that VOC and COCO share, or VOC's if theirs differ."""
    folded = name.casefold()
    return _ALIASES.get(folded, folded)


def find_labels(names: Iterable[str], known: Sequence[str]) -> dict[str, int]:
    """Return each name's label in ``known``, found by the name itself or VOC's or COCO's synonym.

    Names that are not in ``known`` are left out.
    """
    by_name = {name: label for label, name in enumerate(known)}
    by_meaning = {canonical(name): label for name, label in by_name.items()}
    labels = {name: by_name.get(name, by_meaning.get(canonical(name))) for name in names}
    return {name: label for name, label in labels.items() if label is not None}


def known_classes(known: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the ``names`` that are in ``known``, themselves or by VOC's or COCO's synonym."""
    meanings = {canonical(name) for name in known}
    return [name for name in names if canonical(name) in meanings]


def read_labels(path: Path) -> dict[int, str]:
    """Read class names by their number, from 1, from a label map (``.pbtxt``) or a list.

    A list has one name per line, or all names in one line, separated by commas; a leading
    BACKGROUND is dropped. In a label map, the display name takes precedence over the name.

    Raises:
        WeightsError: If the file cannot be read, or names no class.
    """
    try:
        text = read_text(path, MAX_TEXT_BYTES)
    except OSError as error:
        raise WeightsError(f"labels {path} cannot be read: {error.strerror}") from error
    names = _label_map(text, path) if path.suffix.lower() == ".pbtxt" else _label_list(text)
    if not names:
        raise WeightsError(f"labels {path} name no class")
    return names


def _label_list(text: str) -> dict[int, str]:
    lines = split_lines(text)
    if len(lines) == 1:
        lines = lines[0].split(",")
    names = [line.strip() for line in lines if line.strip()]
    if names and names[0].casefold() in {"background", "__background__"}:
        del names[0]
    return dict(enumerate(names, 1))


def _label_map(text: str, path: Path) -> dict[int, str]:
    """Parse the items of a text protobuf; their other fields are skipped."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format  # noqa: PLC0415

    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_LABEL_MAP_SCHEMA, descriptor_pb2.FileDescriptorProto()))
    label_map = message_factory.GetMessageClass(pool.FindMessageTypeByName("LabelMap"))()
    try:
        text_format.Parse(text, label_map, allow_unknown_field=True)
    except (text_format.ParseError, ValueError, RecursionError) as error:
        raise WeightsError(f"label map {path}: {first_line(error)}") from error
    names: dict[int, str] = {}
    for item in label_map.item:  # type: ignore[attr-defined]
        name = item.display_name or item.name
        if not item.HasField("id") or not name:
            raise WeightsError(
                f"label map {path}: the item {{{' '.join(str(item).split())}}} has no id or no name"
            )
        if item.id in names:
            raise WeightsError(f"label map {path} has the id {item.id} twice")
        if item.id > 0:
            names[item.id] = name
    return names
