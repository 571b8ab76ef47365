"""Shared parts of the HTML pages of commands: rendering of templates, styles, thumbnails."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vision.pages.thumbnails import MISSED, OTHER, RIGHT, WRONG, Frame, draw_part, thumbnail

__all__ = ["MISSED", "OTHER", "RIGHT", "WRONG", "Frame", "draw_part", "render", "thumbnail"]


def render(template: Path, **values: object) -> str:
    """Render a template to a page, which is self-contained if the template is.

    Args:
        template: File of a Jinja template, which may include files from its own folder and from
            this one, such as ``style.css``.
        **values: The variables of the template; their text is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)
