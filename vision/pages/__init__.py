"""What the HTML pages of commands share: how a template is filled, its style, small pictures."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vision.pages.thumbnails import MISSED, OTHER, RIGHT, WRONG, Frame, draw_part, thumbnail

__all__ = ["MISSED", "OTHER", "RIGHT", "WRONG", "Frame", "draw_part", "render", "thumbnail"]


def render(template: Path, **values: object) -> str:
    """A page that needs no other file and no network.

    Args:
        template: Jinja's, which may include the files beside it and those of this folder, such as
            ``style.css``.
        **values: What the template shows; text in them is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)
