"""The metadata of an exported graph, as text by key: all that it takes to run it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from vision.choices import FORMS, Form, Precision
from vision.config import Config
from vision.errors import WeightsError
from vision.weights.migration import parse_metadata

FORMAT = "ssdlite-export-1"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a graph is and where it comes from.

    Attributes:
        form: Which outputs it has.
        precision: Of its layers; with fp16 only the weights are stored so.
        config: The configuration that its weights were trained with.
        names: Class names in label order.
        training: How they were trained.
    """

    form: Form
    precision: Precision
    config: Config
    names: list[str]
    training: Mapping[str, Any]

    def to_strings(self, input_name: str, output_names: Sequence[str]) -> dict[str, str]:
        """The text of each key of the file; the graph's names are for people to read."""
        height, width = self.config.model.image_size
        pixels = {
            "jetson": "float32, N x 3 x H x W, RGB from -1 to 1",
            "frigate": "uint8, 1 x H x W x 3, BGR from 0 to 255",
        }.get(self.form, "uint8, N x H x W x 3, RGB from 0 to 255")
        return {
            "format": FORMAT,
            "form": self.form,
            "precision": self.precision,
            "input": f"{input_name}: {pixels}, stretched to {height} x {width} (height x width)",
            "outputs": f"{', '.join(output_names)}: {FORMS[self.form]}",
            "names": json.dumps(self.names),
            "config": self.config.model_dump_json(),
            "training": json.dumps(dict(self.training)),
        }

    def to_json(self, input_name: str, output_names: Sequence[str]) -> str:
        """`to_strings` as one text, for files that have no metadata of their own."""
        return json.dumps(self.to_strings(input_name, output_names), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> "Metadata":
        """Read what `to_json` gave; ``where`` names the file in errors.

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
        """Read what `to_strings` gave; ``where`` names the file in errors.

        Raises:
            WeightsError: If `ssdlite export` did not write it, or the metadata are damaged.
        """
        if strings.get("format") != FORMAT:
            raise WeightsError(f"{where} was not written by ssdlite export")
        form, precision = strings.get("form"), strings.get("precision")
        if form not in FORMS or precision not in get_args(Precision):
            raise WeightsError(
                f"{where}: the metadata are damaged: form {form}, precision {precision}"
            )
        return cls(form, precision, *parse_metadata(strings, where))  # type: ignore[arg-type]
