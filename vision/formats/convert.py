"""Converting a folder of labelled images to another format."""

from pathlib import Path

from vision.atomic import temporary_folder
from vision.errors import DataError
from vision.formats import Annotations, counted, read_data, write_data
from vision.formats.layout import find_layout


def convert_data(source: Path, name: str, out: Path) -> list[str]:
    """Write all splits of a folder in another format.

    Args:
        source: The folder or file, as for `vision.formats.layout.find_layout`.
        name: The new format, one of `vision.choices.WRITTEN_FORMATS`.
        out: The folder to write; it is created only when the data are complete.

    Returns:
        Lines that tell what was read, written and lost.

    Raises:
        DataError: If the data cannot be read, or ``out`` exists and is not an empty folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is not an empty folder; name a new folder")
    layout = find_layout(source)
    splits: dict[str, Annotations] = {}
    for split, keys in layout.splits.items():
        splits["train" if split == "all" else split] = read_data(layout.format, **keys).check()
    names = list(dict.fromkeys(name for data in splits.values() for name in data.names))
    lines = [f"read {layout.reason}"]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(out.parent) as partial:
            for split, data in splits.items():
                data.names = names
                lost = write_data(name, data, partial, split)
                images, boxes = len(data.records), sum(data.count().values())
                lines.append(f"{split}: {counted(images, 'image')}, {counted(boxes, 'box')}")
                lines += [f"  {layout.format}: {line}" for line in data.tally.lines()]
                lines += [f"  {name}: {line}" for line in lost.lines()]
            if out.is_dir():
                out.rmdir()
            partial.replace(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}") from error
    return lines
