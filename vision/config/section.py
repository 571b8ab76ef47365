"""Base class, limits and types that the sections of the configuration share."""

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

MAX_COUNT = 1_000_000
"""Upper limit of numbers without a natural limit, such as epochs and steps."""
MAX_CAPPED = 2**31 - 1
"""Upper limit of batch size and workers, which training lowers to what it can use."""
MAX_SEED = 2**32 - 1


class Section(BaseModel):
    """A section of the configuration: immutable; refuses unknown keys, and never converts types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _height_width(value: Any) -> Any:  # noqa: ANN401
    """Convert a number (for a square) or a list from YAML to the tuple that the model stores."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("expected one whole number or [height, width]")
    return tuple(value)


Size: TypeAlias = Annotated[tuple[int, int], BeforeValidator(_height_width)]


def _drawable_sides(size: tuple[int, int]) -> tuple[int, int]:
    for side in size:
        if not 32 <= side <= 4096:
            raise ValueError(f"a side must be from 32 to 4096 pixels, not {side}")
    return size


SceneSize: TypeAlias = Annotated[Size, AfterValidator(_drawable_sides)]


def _known_sides(size: tuple[int, int]) -> tuple[int, int]:
    for side in size:
        if side != 300 and (side % 32 or not 128 <= side <= 640):
            raise ValueError(f"{side} is neither a multiple of 32 from 128 to 640 nor 300")
    return size


NetworkSize: TypeAlias = Annotated[Size, AfterValidator(_known_sides)]
