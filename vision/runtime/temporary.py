"""Graphs on disk for those that read files only."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["temporary_file"]


@contextmanager
def temporary_file(model: Any) -> Iterator[Path]:  # noqa: ANN401
    """An `onnx.ModelProto` as a file, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="ssdlite-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        yield path
