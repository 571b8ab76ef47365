"""Check the content of a checkpoint, since a file of another version can hold anything."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vision.errors import TrainingError

_Count = Annotated[int, Field(ge=0)]


class _Content(BaseModel):
    """The fields of `vision.engine.run.RunState`, the layout's version and the random states."""

    model_config = ConfigDict(strict=True, protected_namespaces=())

    version: _Count
    rng_state: dict[str, Any]
    names: list[str]
    config: dict[str, Any]
    model: dict[str, Any]
    ema: dict[str, Any] | None
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    scaler: dict[str, Any]
    epoch: _Count
    step: _Count
    sums: Annotated[list[float], Field(min_length=3, max_length=3)]
    seconds: float
    lr: float
    best: float
    unimproved: _Count
    rows: list[dict[str, Any]]
    origin: str
    known: list[str]
    start: dict[str, Any] | None
    val: str | None


def check_content(saved: object, where: str) -> None:
    """Make sure that a checkpoint has all its entries, each of the right type.

    The contents of nested entries, such as ``model``, are only checked when they are loaded.

    Args:
        saved: The content of the checkpoint.
        where: Its name in the message.

    Raises:
        TrainingError: If an entry is missing or of the wrong type.
    """
    try:
        _Content.model_validate(saved)
    except ValidationError as error:
        missing = [str(fault["loc"][0]) for fault in error.errors() if fault["type"] == "missing"]
        first = error.errors()[0]
        problem = f"has no {', '.join(sorted(missing))}"
        if not missing:
            problem = f"has an invalid {'.'.join(map(str, first['loc']))} ({first['msg']})"
        raise TrainingError(f"{where} {problem}: another version wrote it") from error
