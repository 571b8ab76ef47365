"""The metadata of an exported graph, texts by key: all that is needed to run it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeAlias, get_args

from vision.choices import FORMS, Form, Precision
from vision.config import Config
from vision.errors import WeightsError
from vision.extras import package_version
from vision.runtime.decoding import decoding_of
from vision.weights.migration import parse_metadata, recorded_licence

FORMAT = "ssdlite-export-1"
RESIZE = (
    "bilinear without antialiasing (OpenCV's INTER_LINEAR), by area (INTER_AREA) if a side"
    " shrinks to less than half; the aspect ratio is not kept"
)
"""How `vision.images.resize` resizes."""
SINGLE_PIXELS = "uint8, 1 x H x W x 3, RGB from 0 to 255"
"""The input of graphs that take one image."""
PIXELS: dict[Form, str] = {
    "jetson": "float32, N x 3 x H x W, RGB from -1 to 1",
    "frigate": SINGLE_PIXELS.replace("RGB", "BGR"),
}
MAX_OUTPUT = 2**27
"""Maximum number of values of an output for one image: enough for 20,000 priors and 1,000
classes."""

Shapes: TypeAlias = Sequence[Sequence[int | None]]
"""Shapes as a graph states them, with None for a size that is not fixed."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Form, precision and origin of an exported graph.

    Attributes:
        form: The form, which determines its outputs.
        precision: Precision of its layers; with fp16, only the weights are stored in it.
        config: The configuration that its weights were trained with.
        names: Class names in label order.
        training: How the weights were trained.
    """

    form: Form
    precision: Precision
    config: Config
    names: list[str]
    training: Mapping[str, Any]

    def to_strings(
        self, input_name: str, output_names: Sequence[str], pixels: str | None = None
    ) -> dict[str, str]:
        """Return the texts for the file by key: those that are read back, and some for people.

        Args:
            input_name: Name of the graph's input.
            output_names: Names of the graph's outputs.
            pixels: Type, shape and range of the input, if they differ from the form's.
        """
        height, width = self.config.model.image_size
        pixels = pixels or PIXELS.get(self.form, "uint8, N x H x W x 3, RGB from 0 to 255")
        return {
            "format": FORMAT,
            "form": self.form,
            "precision": self.precision,
            "input": f"{input_name}: {pixels}, stretched to {height} x {width} (height x width)",
            "resize": RESIZE,
            "outputs": f"{', '.join(output_names)}: {FORMS[self.form]}",
            "names": json.dumps(self.names),
            "config": self.config.model_dump_json(),
            "training": json.dumps(dict(self.training)),
            "decoding": json.dumps(decoding_of(self.config.model)),
            "license": recorded_licence(self.training) or "not stated",
            "producer": f"ssdlite {package_version('ssdlite') or ''}".strip(),
            "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        }

    def to_json(
        self, input_name: str, output_names: Sequence[str], pixels: str = SINGLE_PIXELS
    ) -> str:
        """`to_strings` as one text, for file formats without metadata by key."""
        return json.dumps(self.to_strings(input_name, output_names, pixels), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> "Metadata":
        """Read the text of `to_json`; ``where`` names the file in errors.

        Raises:
            WeightsError: If `ssdlite export` did not write it, or the metadata are damaged.
        """
        try:
            strings = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"{where}: the metadata are damaged: {error!s:.100}") from error
        is_text = isinstance(strings, dict) and all(isinstance(v, str) for v in strings.values())
        return cls.from_strings(strings if is_text else {}, where)

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], where: str) -> "Metadata":
        """Read the texts of `to_strings`; ``where`` names the file in errors.

        Raises:
            WeightsError: If `ssdlite export` did not write it, or the metadata are damaged.
        """
        if strings.get("format") != FORMAT:
            raise WeightsError(f"{where} were not written by ssdlite export")
        form, precision = strings.get("form"), strings.get("precision")
        if form not in FORMS or precision not in get_args(Precision):
            raise WeightsError(
                f"{where}: the metadata are damaged: form {form!r:.50}, precision {precision!r:.50}"
            )
        return cls(form, precision, *parse_metadata(strings, where))  # type: ignore[arg-type]

    def check_graph(self, inputs: Shapes, outputs: Shapes, where: str) -> None:
        """Make sure that a graph of the form ``decoded`` has the stated input and outputs.

        Raises:
            WeightsError: If it does not take such images, or its outputs are not boxes and the
                scores of these classes, or are absurdly large; ``where`` names the file.
        """
        if self.form != "decoded":
            return
        height, width = self.config.model.image_size
        sizes = [list(shape[1:]) for shape in (*inputs, *outputs)]
        priors = sizes[-1][0] if sizes and sizes[-1] else None
        expected = [[height, width, 3], [priors, 4], [priors, len(self.names)]]
        if len(inputs) != 1 or sizes != expected or not priors:
            raise WeightsError(
                f"{where}: the metadata do not fit the graph: expected images of {height} x"
                f" {width}, boxes, and scores of {len(self.names)} classes; found"
                f" {_describe(inputs)} to {_describe(outputs)}"
            )
        if priors * max(4, len(self.names)) > MAX_OUTPUT:
            raise WeightsError(f"{where}: {priors:,} boxes for an image are more than can be used")


def _describe(shapes: Shapes) -> str:
    texts = (" x ".join("?" if side is None else str(side) for side in shape) for shape in shapes)
    return f"({'; '.join(texts)})"[:200]
