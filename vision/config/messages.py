"""Error messages for invalid configurations: each with its origin, key and a remedy."""

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vision.choices import DATA_FORMATS
from vision.config.overrides import is_within, key_of, name_overrides
from vision.config.run import Config
from vision.errors import did_you_mean

MAX_LISTED = 20
"""Maximum number of errors that a message lists."""
_MAX_LENGTH = 100
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _MAX_LENGTH


def _short(found: object) -> str:
    """The start of a value's repr: YAML aliases can make values huge."""
    return _shorten(_REPR.repr(found), 2 * _MAX_LENGTH)


def _shorten(text: str, length: int = _MAX_LENGTH) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def explain(
    error: ValidationError,
    values: Mapping[Any, Any],
    where: str,
    overrides: Sequence[str] = (),
    before: Mapping[Any, Any] | None = None,
) -> str:
    """Describe all errors of a validation, each with its origin; a single error on one line.

    Args:
        error: The error that pydantic raised.
        values: The values that were checked, with the overrides applied.
        where: The file or other origin of the values.
        overrides: The overrides that were applied.
        before: The values without the overrides; errors that these lack come from overrides.
    """
    old = _errors_of(before) if overrides else set()
    found = []
    for detail in error.errors():
        location = _strip_tags(detail["loc"], values, keep_last=detail["type"] == "missing")
        text = _describe(detail, location)
        is_new = bool(overrides) and (detail["loc"], detail["type"]) not in old
        causes = _causes(location, detail["type"], overrides, is_new=is_new)
        if len(causes) == 1:
            text = text.removeprefix(f"{key_of(causes[0])}: ")
        found.append((name_overrides(causes) or where, text))
    count = len(found)
    if count > MAX_LISTED:
        found = [*found[:MAX_LISTED], (where, f"and {count - MAX_LISTED} more errors")]
    if len(found) == 1:
        return ": ".join(found[0])
    of_values = [origin == where for origin, _ in found]
    if all(of_values):
        return f"{where} has {count} errors:" + "".join(f"\n  {text}" for _, text in found)
    head = f"{where} with its overrides has" if any(of_values) else "the overrides have"
    return f"{head} {count} errors:" + "".join(f"\n  {': '.join(pair)}" for pair in found)


def _errors_of(values: Mapping[Any, Any] | None) -> set[tuple[object, str]]:
    """The location and type of each error in ``values``."""
    try:
        Config.model_validate(values)
    except ValidationError as error:
        return {(detail["loc"], detail["type"]) for detail in error.errors()}
    return set()


def _causes(
    location: Sequence[int | str], kind: str, overrides: Sequence[str], *, is_new: bool
) -> list[str]:
    """The overrides that caused an error; none if the values already had it without them.

    This is the last override of the key or a section that contains it. If there is none for a new
    error, these are all overrides in the smallest section around the error that has any.
    """
    section = ".".join(map(str, location))
    key = f"{section}.format" if kind.startswith("union_tag") else section
    found = [override for override in overrides if is_within(key, key_of(override))][-1:]
    while is_new and not found:
        found = [override for override in overrides if is_within(key_of(override), section)]
        section = section.rpartition(".")[0]
    return found


def _describe(detail: ErrorDetails, location: Sequence[int | str]) -> str:
    key = _shorten(".".join(map(str, location))) or "the configuration"
    found = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            text = f" is not a key{_suggest(location, detail['loc'])}"
        case "missing":
            text = " is missing"
        case "union_tag_not_found":
            text = f".format is missing; it is one of {', '.join(DATA_FORMATS)}"
        case "union_tag_invalid":
            expected = detail.get("ctx", {}).get("expected_tags", "")
            text = f".format: expected {expected}, found {_short(found.get('format'))}"
        case "model_type" | "model_attributes_type":
            text = f": expected keys and values, found {_short(found)}"
        case "string_type" if isinstance(found, int | float):
            text = f": expected text, found {_short(found)}; put it in quotes"
        case _:
            message = detail["msg"].removeprefix("Value error, ")
            text = f": {message[:1].lower() + message[1:]}"
            # The validator of a whole section has already named the wrong values.
            is_section = detail["type"] == "value_error" and isinstance(found, Mapping)
            text += "" if is_section else f", found {_short(found)}"
    return key + text


def _strip_tags(
    location: Sequence[int | str],
    values: Any,  # noqa: ANN401
    *,
    keep_last: bool,
) -> list[int | str]:
    """The location without pydantic's tags; ``keep_last`` keeps the name of a missing key."""
    kept: list[int | str] = []
    for position, step in enumerate(location):
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            if not keep_last or position < len(location) - 1:
                continue
        kept.append(step)
    return kept


def _suggest(location: Sequence[int | str], tagged: Sequence[int | str]) -> str:
    """Suggest a key in place of an unknown one: the same name elsewhere, or a similar sibling.

    Args:
        location: The path to the unknown key, as the user wrote it.
        tagged: The same path with pydantic's tags of union members, such as a source's format.
    """
    *parents, name = map(str, location)
    elsewhere = keys_named(name.split(".")[-1])
    if elsewhere:
        return f"; did you mean {' or '.join(elsewhere)}?"
    models = [Config]
    for step in parents:
        fields = [model.model_fields[step] for model in models if step in model.model_fields]
        if fields:  # otherwise the step is the index of a source in a list
            models = [inner for field in fields for inner in models_in(field.annotation)]
    models = [model for model in models if format_of(model) in (None, *tagged)]
    siblings = sorted({field for model in models for field in model.model_fields})
    return did_you_mean(name, siblings, "".join(f"{step}." for step in parents))


def keys_named(name: str) -> list[str]:
    """The dotted keys of the configuration whose last part is ``name``."""
    return [key for key in all_keys(Config) if key.split(".")[-1] == name]


def models_in(annotation: object) -> list[type[Any]]:
    """The configuration models in a type annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def format_of(model: type[BaseModel]) -> str | None:
    """The ``format`` of a data source's model; None for other sections."""
    field = model.model_fields.get("format")
    return None if field is None else get_args(field.annotation)[0]


def all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a section, at all depths; a data source counts as one key."""
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        if len(inner) == 1:
            yield from all_keys(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
