"""What the sections of the configuration have in common."""

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

MAX_COUNT = 1_000_000
"""Upper limit of counts without a nearer one: of epochs and steps."""
MAX_CAPPED = 2**31 - 1
"""Upper limit of numbers that training lowers to what there is."""
MAX_SEED = 2**32 - 1


class Section(BaseModel):
    """A part of the configuration: frozen, without unknown keys, without conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _height_width(value: Any) -> Any:  # noqa: ANN401
    """One number for a square; a list as YAML gives it to the tuple that the model holds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("expected one whole number or [height, width]")
    return tuple(value)


Size: TypeAlias = Annotated[tuple[int, int], BeforeValidator(_height_width)]


def _drawable_sides(size: tuple[int, int]) -> tuple[int, int]:
    for side in size:
        if not 32 <= side <= 4096:
            raise ValueError(f"{side} is not a side from 32 to 4096")
    return size


SceneSize: TypeAlias = Annotated[Size, AfterValidator(_drawable_sides)]


def _known_sides(size: tuple[int, int]) -> tuple[int, int]:
    for side in size:
        if side != 300 and (side % 32 or not 128 <= side <= 640):
            raise ValueError(f"{side} is neither a multiple of 32 from 128 to 640 nor 300")
    return size


NetworkSize: TypeAlias = Annotated[Size, AfterValidator(_known_sides)]
