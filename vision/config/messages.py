"""What is wrong with a configuration, in words: each error with its dotted key and a remedy."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vision.config.models import Config

__all__ = ["explain"]


def explain(error: ValidationError, values: Mapping[str, Any], where: str) -> str:
    """All errors of a validation; on one line if there is but one.

    Args:
        error: What pydantic found.
        values: The values that were checked.
        where: The file or other origin of the values.
    """
    lines = [_describe(detail, values) for detail in error.errors()]
    if len(lines) == 1:
        return f"{where}: {lines[0]}"
    return f"{where} has {len(lines)} errors:" + "".join(f"\n  {line}" for line in lines)


def _describe(detail: ErrorDetails, values: Mapping[str, Any]) -> str:
    location = _strip_tags(detail["loc"], values, keep_last=detail["type"] == "missing")
    key = ".".join(map(str, location)) or "the configuration"
    found = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            said = f" is not a key{_suggest(location, detail['loc'])}"
        case "missing":
            said = " is missing"
        case "union_tag_not_found":
            said = ".format is missing; it is voc, coco or synthetic"
        case "union_tag_invalid":
            expected = detail.get("ctx", {}).get("expected_tags", "")
            said = f".format: expected {expected}, found {found.get('format')!r}"
        case "model_type" | "model_attributes_type":
            said = f": expected keys and values, found {found!r}"
        case "string_type" if isinstance(found, int | float):
            said = f": expected text, found {found!r}; put it in quotes"
        case _:
            message = detail["msg"].removeprefix("Value error, ")
            said = f": {message[:1].lower() + message[1:]}, found {found!r}"
    return key + said


def _strip_tags(
    location: Sequence[int | str],
    values: Any,  # noqa: ANN401
    *,
    keep_last: bool,
) -> list[int | str]:
    """The location without pydantic's names of union members, which no user wrote."""
    kept: list[int | str] = []
    for position, step in enumerate(location):
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            if keep_last and position == len(location) - 1:
                kept.append(step)
            continue
        kept.append(step)
    return kept


def _suggest(location: Sequence[int | str], tagged: Sequence[int | str]) -> str:
    """A did-you-mean for an unknown key: a sibling that is spelt alike, or the key elsewhere.

    Args:
        location: Where it is, as the user wrote it.
        tagged: The same with pydantic's names of union members, such as a source's format.
    """
    *parents, name = map(str, location)
    models = [Config]
    for step in parents:
        fields = [model.model_fields[step] for model in models if step in model.model_fields]
        if fields:
            models = [m for field in fields for m in _models_in(field.annotation)]
    models = [model for model in models if _format(model) in (None, *tagged)]
    siblings = sorted({field for model in models for field in model.model_fields})
    alike = difflib.get_close_matches(name, siblings, n=1, cutoff=0.6)
    if alike:
        return f"; did you mean {'.'.join([*parents, alike[0]])}?"
    elsewhere = [key for key in _all_keys(Config) if key.split(".")[-1] == name.split(".")[-1]]
    if elsewhere:
        return f"; did you mean {' or '.join(elsewhere)}?"
    return f"; there are {', '.join(siblings)}"


def _models_in(annotation: object) -> list[type[Any]]:
    """The configuration models that an annotation names, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _format(model: type[BaseModel]) -> str | None:
    """The ``format`` that a model of a source is for."""
    return (
        get_args(model.model_fields["format"].annotation)[0]
        if "format" in model.model_fields
        else None
    )


def _all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _models_in(field.annotation)
        if len(inner) == 1:
            yield from _all_keys(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
