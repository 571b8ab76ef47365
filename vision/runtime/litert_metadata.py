"""The metadata with which MediaPipe Tasks and TensorFlow Lite's libraries run a detector.

A FlatBuffer with the schema ``metadata_schema.fbs``, version 1, of TensorFlow Lite Metadata.
Tables are written as lists of their fields in the schema's order, with None for omitted fields.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from vision.extras import require_package
from vision.runtime.metadata import Metadata
from vision.weights.migration import recorded_licence

Write: TypeAlias = Callable[[Any], int]
"""Writes a value before the table that refers to it, and returns its place in the buffer."""
Field: TypeAlias = int | Write | None
"""A number of one byte is written into its table; other values have their own places."""
_VALUE_LABELS, _RGB, _BOUNDARIES = 3, 1, 1
_FEATURE, _IMAGE, _BOUNDING_BOX = 1, 2, 3
"""Kinds of content, by their number in the schema's union."""


def describe_ssd(metadata: Metadata, labels_file: str) -> bytes:
    """Describe the input and the outputs of a graph of the form ``ssd``.

    Args:
        metadata: The graph's metadata.
        labels_file: Name of the file of class names in the archive at the end of the model.
    """
    flatbuffers = require_package("flatbuffers", "litert")
    labels = _table([_text(labels_file), _text("class names"), _VALUE_LABELS])
    limits = _table([_floats([255.0]), _floats([0.0])])
    image = _tensor("image", "RGB from 0 to 255", _IMAGE, [_RGB], stats=limits)
    outputs = [
        _tensor("location", "ymin, xmin, ymax, xmax as fractions", _BOUNDING_BOX,
                [_integers([1, 0, 3, 2]), _BOUNDARIES], span=_range(2, 2)),
        _tensor("category", "class indices", _FEATURE, [], span=_range(2, 2), files=[labels]),
        _tensor("score", "scores from 0 to 1", _FEATURE, [], span=_range(2, 2)),
        _tensor("number of detections", "filled rows", _FEATURE, []),
    ]  # fmt: skip
    graph = _table([None, None, _tables([image]), _tables(outputs)])
    licence = recorded_licence(metadata.training) or None
    model = _table([
        _text("SSDLite"), _text(f"SSDLite detector of {len(metadata.names)} classes"), None,
        _tables([graph]), None, licence and _text(licence), None, _text("1.2.0"),
    ])  # fmt: skip
    builder = flatbuffers.Builder(1024)
    builder.Finish(model(builder), b"M001")
    return bytes(builder.Output())


def _tensor(
    name: str,
    description: str,
    kind: int,
    properties: Sequence[Field],
    *,
    span: Write | None = None,
    stats: Write | None = None,
    files: Sequence[Write] = (),
) -> Write:
    content = _table([kind, _table(properties), span])
    listed = _tables(files) if files else None
    return _table([_text(name), _text(description), None, content, None, stats, listed])


def _range(first: int, last: int) -> Write:
    """The range of a tensor's dimensions that the content describes."""

    def write(builder: Any) -> int:  # noqa: ANN401
        builder.StartObject(2)
        builder.PrependInt32Slot(0, first, 0)
        builder.PrependInt32Slot(1, last, 0)
        return int(builder.EndObject())

    return write


def _table(fields: Sequence[Field]) -> Write:
    def write(builder: Any) -> int:  # noqa: ANN401
        places = [field(builder) if callable(field) else field for field in fields]
        builder.StartObject(len(fields))
        for slot, (field, place) in enumerate(zip(fields, places, strict=True)):
            if callable(field):
                builder.PrependUOffsetTRelativeSlot(slot, place, 0)
            elif field is not None:
                builder.PrependUint8Slot(slot, field, 0)
        return int(builder.EndObject())

    return write


def _text(value: str) -> Write:
    return lambda builder: int(builder.CreateString(value))


def _tables(items: Sequence[Write]) -> Write:
    def write(builder: Any) -> int:  # noqa: ANN401
        places = [item(builder) for item in items]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return int(builder.EndVector())

    return write


def _floats(values: Sequence[float]) -> Write:
    return _vector(values, "PrependFloat32")


def _integers(values: Sequence[int]) -> Write:
    return _vector(values, "PrependUint32")


def _vector(values: Sequence[float] | Sequence[int], prepend: str) -> Write:
    def write(builder: Any) -> int:  # noqa: ANN401
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            getattr(builder, prepend)(value)
        return int(builder.EndVector())

    return write
