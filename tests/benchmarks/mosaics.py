"""Large photographs of small objects: ``python -m tests.benchmarks.mosaics SOURCE 3 OUT``.

SOURCE is a source of data as ``data.val`` takes it. Its photographs are put together, 3 x 3 to an
image, so that ``ssdlite eval --tiles`` can be measured where no large photographs are at hand.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

from vision.config import load_config
from vision.data import read_sources
from vision.media import write_image


def write_mosaics(source: str, side: int, out: Path) -> None:
    """Write ``images/`` and ``instances.json``; photographs that fill no mosaic are left out."""
    config = load_config("finetune", [f"data.val={source}"])
    annotations = read_sources(config.data.val, "data.val")
    labels = {name: label for label, name in enumerate(annotations.names)}
    images, boxes = list[dict[str, object]](), list[dict[str, object]]()
    for start in range(0, len(annotations.records) - side**2 + 1, side**2):
        records = annotations.records[start : start + side**2]
        height, width = (max(record.size[axis] for record in records) for axis in range(2))
        mosaic = np.zeros((side * height, side * width, 3), np.uint8)
        for place, record in enumerate(records):
            (y, x), target = (place // side * height, place % side * width), record.target(labels)
            mosaic[y : y + record.size[0], x : x + record.size[1]] = record.load()
            columns = (target.boxes.tolist(), target.labels.tolist(), target.ignore.tolist())
            for (x0, y0, x1, y1), label, ignore in zip(*columns, strict=True):
                width_height = [x1 - x0, y1 - y0]
                box = {"id": len(boxes) + 1, "image_id": start, "category_id": label + 1}
                box |= {"bbox": [x + x0, y + y0, *width_height], "area": math.prod(width_height)}
                boxes.append({**box, "iscrowd": int(ignore)})
        write_image(out / "images" / f"{start}.png", mosaic)
        size = {"width": mosaic.shape[1], "height": mosaic.shape[0]}
        images.append({"id": start, "file_name": f"{start}.png", **size})
    categories = [{"id": label + 1, "name": name} for name, label in labels.items()]
    table = {"images": images, "annotations": boxes, "categories": categories}
    (out / "instances.json").write_text(json.dumps(table), encoding="utf-8")


if __name__ == "__main__":
    write_mosaics(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
