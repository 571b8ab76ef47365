"""The schemas of the result files: ``python -m tests.detection.reference docs/schemas``."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from vision.detection.schema import SCHEMAS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    """The JSON schema of a result file."""
    return {"$schema": DIALECT, **TypeAdapter(SCHEMAS[name]).json_schema()}


def text_of(name: str) -> str:
    """The same as the text of a file."""
    return json.dumps(schema_of(name), indent=2) + "\n"


if __name__ == "__main__":
    for key in SCHEMAS:
        path = Path(sys.argv[1], f"{key}.schema.json")
        path.write_text(text_of(key), encoding="utf-8")
