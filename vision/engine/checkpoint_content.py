"""What a checkpoint holds, checked: a file of another version can hold anything."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vision.errors import TrainingError

_Count = Annotated[int, Field(ge=0)]


class _Content(BaseModel):
    """The fields of `vision.engine.run.RunState`, and what goes with them."""

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
    """Make sure that each part of a checkpoint is there and of its type; ``where`` names it.

    What is inside of the parts is only known when they are loaded.

    Raises:
        TrainingError: If one is not.
    """
    try:
        _Content.model_validate(saved)
    except ValidationError as error:
        missing = [str(one["loc"][0]) for one in error.errors() if one["type"] == "missing"]
        first = error.errors()[0]
        problem = f"has no {', '.join(sorted(missing))}"
        if not missing:
            problem = f"has in {'.'.join(map(str, first['loc']))} what does not fit: {first['msg']}"
        raise TrainingError(f"{where} {problem}: another version wrote it") from error
