"""Folders as the labelling tools export them: photographs of 60 by 80, each with one box."""

import json
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from tests.formats.builders import voc_object, voc_xml
from vision.formats import Annotations
from vision.media import write_image

HEIGHT, WIDTH = 60, 80
NAMES = ("cat", "dog")
Splits = Mapping[str, Sequence[str]]
"""The stems of the images in each split; a folder without splits has ``all``."""
FLAT: Splits = {"all": [f"img{row}" for row in range(10)]}
SPLIT: Splits = {"train": [f"img{row}" for row in range(4)], "val": ["v0", "v1"], "test": ["t0"]}
Box = tuple[float, float, float, float]


class Shot(NamedTuple):
    """A photograph's class and box, which follow from its name."""

    name: str
    box: Box

    @property
    def label(self) -> int:
        """The class's place in `NAMES`."""
        return NAMES.index(self.name)

    @property
    def xywh(self) -> list[float]:
        """The box as COCO has it."""
        x0, y0, x1, y1 = self.box
        return [x0, y0, x1 - x0, y1 - y0]

    @property
    def yolo(self) -> str:
        """The line of YOLO's text file."""
        x, y, width, height = self.xywh
        numbers = (
            (x + width / 2) / WIDTH,
            (y + height / 2) / HEIGHT,
            width / WIDTH,
            height / HEIGHT,
        )
        return " ".join([str(self.label), *(f"{number:.8f}" for number in numbers)]) + "\n"


def shot(stem: str) -> Shot:
    """What the photograph of that name shows."""
    number = crc32(stem.encode())
    x0, y0 = 2 + number % 17, 3 + number // 17 % 13
    name = NAMES[int(stem[-1]) % 2]
    return Shot(name, (x0, y0, x0 + 30 + number % 11, y0 + 25 + number % 7))


def write_shot(path: Path, stem: str) -> None:
    """The photograph, which is like no other: noise, and a filled box."""
    image = np.random.default_rng(crc32(stem.encode())).integers(0, 200, (15, 20, 3), np.uint8)
    image = image.repeat(4, axis=0).repeat(4, axis=1)
    x0, y0, x1, y1 = map(int, shot(stem).box)
    image[y0:y1, x0:x1] = (250, 40, 40) if shot(stem).name == "cat" else (40, 40, 250)
    write_image(path, image)


def found(annotations: Annotations) -> dict[str, tuple[tuple[str, ...], list[list[float]]]]:
    """Classes and boxes of each image, by the last part of its name before a point."""
    return {
        Path(record.image_id).name.partition(".")[0]: (record.names, record.boxes.tolist())
        for record in annotations.records
    }


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _xml(path: Path, stem: str, image: str) -> None:
    x0, y0, x1, y1 = shot(stem).box
    item = voc_object(shot(stem).name, (x0 + 1, y0 + 1, x1, y1))
    write_text(path, voc_xml(item, size=(HEIGHT, WIDTH), filename=image))


def _json(
    path: Path, stems: Sequence[str], name: str = "{}.jpg", parent: str | None = None
) -> None:
    """COCO's instances; Roboflow adds the parent of all classes as a category."""
    rows: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    if parent:
        rows["categories"].append({"id": 0, "name": parent, "supercategory": "none"})
    rows["categories"] += [
        {"id": label + 1, "name": one, "supercategory": parent or "none"}
        for label, one in enumerate(NAMES)
    ]
    for row, stem in enumerate(stems):
        image = {"id": row, "file_name": name.format(stem), "height": HEIGHT, "width": WIDTH}
        rows["images"].append(image)
        box = {"id": row, "image_id": row, "category_id": shot(stem).label + 1, "iscrowd": 0}
        rows["annotations"].append({**box, "bbox": shot(stem).xywh, "area": 1.0})
    write_text(path, json.dumps(rows))


def voc(root: Path, splits: Splits) -> None:
    for split, stems in splits.items():
        write_text(
            root / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{stem}\n" for stem in stems)
        )
        for stem in stems:
            write_shot(root / "JPEGImages" / f"{stem}.jpg", stem)
            _xml(root / "Annotations" / f"{stem}.xml", stem, f"{stem}.jpg")
    (root / "SegmentationClass").mkdir()
    write_shot(root / "SegmentationClass" / "img0.png", "img0")


def coco(root: Path, splits: Splits) -> None:
    for split, stems in splits.items():
        _json(root / "annotations" / f"instances_{split}2017.json", stems)
        _json(root / "annotations" / f"person_keypoints_{split}2017.json", stems)
        for stem in stems:
            write_shot(root / f"{split}2017" / f"{stem}.jpg", stem)


def _roboflow(root: Path, splits: Splits) -> dict[str, Sequence[str]]:
    write_text(root / "README.roboflow.txt", "exported via roboflow.com")
    return {split.replace("val", "valid"): stems for split, stems in splits.items()}


def roboflow_voc(root: Path, splits: Splits) -> None:
    for split, stems in _roboflow(root, splits).items():
        for stem in stems:
            write_shot(root / split / f"{stem}.rf.0a1b.jpg", stem)
            _xml(root / split / f"{stem}.rf.0a1b.xml", stem, f"{stem}.rf.0a1b.jpg")


def roboflow_coco(root: Path, splits: Splits) -> None:
    for split, stems in _roboflow(root, splits).items():
        _json(root / split / "_annotations.coco.json", stems, "{}.rf.0a1b.jpg", "pets")
        for stem in stems:
            write_shot(root / split / f"{stem}.rf.0a1b.jpg", stem)


def roboflow_yolo(root: Path, splits: Splits) -> None:
    paths = ""
    for split, stems in _roboflow(root, splits).items():
        paths += f"{split.replace('valid', 'val')}: ../{split}/images\n"
        for stem in stems:
            write_shot(root / split / "images" / f"{stem}.rf.0a1b.jpg", stem)
            write_text(root / split / "labels" / f"{stem}.rf.0a1b.txt", shot(stem).yolo)
    write_text(
        root / "data.yaml", f"{paths}\nnc: 2\nnames: ['cat', 'dog']\n\nroboflow:\n  version: 1\n"
    )


def cvat_voc(root: Path, splits: Splits) -> None:
    stems = splits["all"]
    write_text(root / "labelmap.txt", "# label:color_rgb:parts:actions\ncat:1,2,3::\n")
    write_text(
        root / "ImageSets" / "Main" / "default.txt", "".join(f"sub/{stem}\n" for stem in stems)
    )
    for stem in stems:
        write_shot(root / "JPEGImages" / "sub" / f"{stem}.jpg", stem)
        _xml(root / "Annotations" / "sub" / f"{stem}.xml", stem, f"sub/{stem}.jpg")


def cvat_coco(root: Path, splits: Splits) -> None:
    _json(root / "annotations" / "instances_default.json", splits["all"])
    for stem in splits["all"]:
        write_shot(root / "images" / f"{stem}.jpg", stem)


def cvat_coco_subset(root: Path, splits: Splits) -> None:
    _json(root / "annotations" / "instances_default.json", splits["all"], "sub/{}.jpg")
    for stem in splits["all"]:
        write_shot(root / "images" / "default" / "sub" / f"{stem}.jpg", stem)


def cvat_yolo(root: Path, splits: Splits) -> None:
    """CVAT's "YOLO 1.1", which is darknet's."""
    stems = splits["all"]
    write_text(root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n")
    write_text(root / "obj.names", "cat\ndog\n")
    write_text(root / "train.txt", "".join(f"data/obj_train_data/{stem}.jpg\n" for stem in stems))
    for stem in stems:
        write_shot(root / "obj_train_data" / f"{stem}.jpg", stem)
        write_text(root / "obj_train_data" / f"{stem}.txt", shot(stem).yolo)


def cvat_ultralytics(root: Path, splits: Splits) -> None:
    stems = splits["all"]
    write_text(root / "data.yaml", "names:\n  0: cat\n  1: dog\npath: .\ntrain: train.txt\n")
    write_text(root / "train.txt", "".join(f"data/images/train/{stem}.jpg\n" for stem in stems))
    for stem in stems:
        write_shot(root / "images" / "train" / f"{stem}.jpg", stem)
        write_text(root / "labels" / "train" / f"{stem}.txt", shot(stem).yolo)


def label_studio_voc(root: Path, splits: Splits) -> None:
    for stem in splits["all"]:
        write_shot(root / "images" / f"{stem}.jpg", stem)
        _xml(root / "Annotations" / f"{stem}.xml", stem, f"{stem}")


def label_studio_coco(root: Path, splits: Splits) -> None:
    _json(root / "result.json", splits["all"], "images\\{}.a%20b.jpg")
    for stem in splits["all"]:
        write_shot(root / "images" / f"{stem}.a b.jpg", stem)


def label_studio_yolo(root: Path, splits: Splits) -> None:
    write_text(root / "classes.txt", "cat\ndog\n")
    write_text(
        root / "notes.json", json.dumps({"categories": [{"id": 0, "name": "cat"}], "info": {}})
    )
    for stem in splits["all"]:
        write_shot(root / "images" / f"{stem}.jpg", stem)
        write_text(root / "labels" / f"{stem}.txt", shot(stem).yolo)


def labelimg_voc(root: Path, splits: Splits) -> None:
    for stem in splits["all"]:
        write_shot(root / f"{stem}.jpg", stem)
        _xml(root / f"{stem}.xml", stem, f"{stem}.jpg")


def labelimg_yolo(root: Path, splits: Splits) -> None:
    write_text(root / "classes.txt", "cat\ndog\n")
    for stem in splits["all"]:
        write_shot(root / f"{stem}.jpg", stem)
        write_text(root / f"{stem}.txt", shot(stem).yolo)


def labelimg_voc_in_folders(root: Path, splits: Splits) -> None:
    for stem, folder in zip(splits["all"], cycle(("day 1", "day 2/more", "day 2")), strict=False):
        labelimg_voc(root / folder, {"all": [stem]})


def labelimg_yolo_in_folders(root: Path, splits: Splits) -> None:
    for stem, folder in zip(splits["all"], cycle(("day 1", "day 2/more", "day 2")), strict=False):
        labelimg_yolo(root / folder, {"all": [stem]})


def voc_in_folders(root: Path, splits: Splits) -> None:
    for stem, folder in zip(splits["all"], cycle(("day 1", "day 2")), strict=False):
        write_shot(root / "JPEGImages" / folder / f"{stem}.jpg", stem)
        _xml(root / "Annotations" / folder / f"{stem}.xml", stem, f"{stem}.jpg")


def yolo(root: Path, splits: Splits) -> None:
    paths = "".join(f"{split}: images/{split}\n" for split in splits)
    write_text(root / "data.yaml", f"path: ../datasets/mine\n{paths}names: {{0: cat, 1: dog}}\n")
    _yolo_folders(root, splits)


def yolo_without_yaml(root: Path, splits: Splits) -> None:
    write_text(root / "classes.txt", "cat\ndog\n")
    _yolo_folders(root, splits)


def webdataset(root: Path, splits: Splits) -> None:
    """As ``tar`` writes the files of a folder; the two forms of JSON in turn."""
    for split, stems in splits.items():
        for row, stem in enumerate(stems):
            one = shot(stem)
            write_shot(root / "loose" / f"{stem}.jpg", stem)
            rows: dict[str, Any] = {"boxes": [one.box], "labels": [one.name]}
            if row % 2:
                rows = {"annotations": [{"bbox": one.xywh, "category_name": one.name}]}
            write_text(root / "loose" / f"{stem}.json", json.dumps(rows))
        with tarfile.open(root / f"{split}-000000.tar", "x") as tar:
            tar.add(root / "loose", ".", filter=_undated)
        shutil.rmtree(root / "loose")


def _undated(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime = 0
    return info


def _yolo_folders(root: Path, splits: Splits) -> None:
    for split, stems in splits.items():
        for stem in stems:
            write_shot(root / "images" / split / f"{stem}.jpg", stem)
            write_text(root / "labels" / split / f"{stem}.txt", shot(stem).yolo)


def image_folder(root: Path, splits: Splits) -> None:
    for split, stems in splits.items():
        lines = [
            {
                "file_name": f"{stem}.jpg",
                "objects": {"bbox": [shot(stem).xywh], "category": [shot(stem).name]},
            }
            for stem in stems
        ]
        folder = root if split == "all" else root / split.replace("val", "validation")
        for stem in stems:
            write_shot(folder / f"{stem}.jpg", stem)
        write_text(folder / "metadata.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def open_images(root: Path, splits: Splits) -> None:
    write_text(root / "class-descriptions-boxable.csv", "/m/01yrx,cat\n/m/0bt9lr,dog\n")
    ids = {"cat": "/m/01yrx", "dog": "/m/0bt9lr"}
    for name, stems in splits.items():
        split = name.replace("val", "validation")
        lines = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"]
        for stem in stems:
            x0, y0, x1, y1 = shot(stem).box
            sides = (x0 / WIDTH, x1 / WIDTH, y0 / HEIGHT, y1 / HEIGHT)
            numbers = ",".join(f"{side:.8f}" for side in sides)
            lines.append(f"{stem},xclick,{ids[shot(stem).name]},1,{numbers},0")
            write_shot(root / split / f"{stem}.jpg", stem)
        write_text(root / f"{split}-annotations-bbox.csv", "\n".join(lines) + "\n")


LAYOUTS: dict[str, tuple[Callable[[Path, Splits], None], str, Splits]] = {
    "VOC": (voc, "voc", SPLIT),
    "COCO": (coco, "coco", SPLIT),
    "YOLO": (yolo, "yolo", SPLIT),
    "YOLO without data.yaml": (yolo_without_yaml, "yolo", SPLIT),
    "Roboflow, VOC": (roboflow_voc, "voc", SPLIT),
    "Roboflow, COCO": (roboflow_coco, "coco", SPLIT),
    "Roboflow, YOLO": (roboflow_yolo, "yolo", SPLIT),
    "CVAT, VOC": (cvat_voc, "voc", FLAT),
    "CVAT, COCO": (cvat_coco, "coco", FLAT),
    "CVAT, COCO in subfolders": (cvat_coco_subset, "coco", FLAT),
    "CVAT, YOLO 1.1": (cvat_yolo, "yolo", FLAT),
    "CVAT, Ultralytics YOLO": (cvat_ultralytics, "yolo", FLAT),
    "Label Studio, VOC": (label_studio_voc, "voc", FLAT),
    "Label Studio, COCO": (label_studio_coco, "coco", FLAT),
    "Label Studio, YOLO": (label_studio_yolo, "yolo", FLAT),
    "LabelImg, VOC": (labelimg_voc, "voc", FLAT),
    "LabelImg, YOLO": (labelimg_yolo, "yolo", FLAT),
    "LabelImg, VOC in folders": (labelimg_voc_in_folders, "voc", FLAT),
    "LabelImg, YOLO in folders": (labelimg_yolo_in_folders, "yolo", FLAT),
    "VOC in folders": (voc_in_folders, "voc", FLAT),
    "imagefolder": (image_folder, "image_folder", SPLIT),
    "imagefolder without splits": (image_folder, "image_folder", FLAT),
    "Open Images": (open_images, "open_images", SPLIT),
    "WebDataset": (webdataset, "webdataset", SPLIT),
    "WebDataset without splits": (webdataset, "webdataset", FLAT),
}
"""Of each: its writer, the format of the reader, and what is in it."""
