"""Names in annotations do not lead out of the folder of images by ``..``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.builders import voc_xml, write_image
from vision.errors import DataError
from vision.formats import Annotations, read_data

SECRET = (13, 17)
"""The size of the image outside, which no other image has."""


def coco(images: Path, name: str) -> Annotations:
    rows = {"images": [{"id": 1, "file_name": name}], "annotations": [], "categories": []}
    file = images / "instances.json"
    file.write_text(json.dumps(rows))
    return read_data("coco", annotations=str(file), images=str(images))


def image_folder(images: Path, name: str) -> Annotations:
    (images / "metadata.jsonl").write_text(json.dumps({"file_name": name}) + "\n")
    return read_data("image_folder", root=str(images))


def yolo(images: Path, name: str) -> Annotations:
    (images / "classes.txt").write_text("cat\n")
    (images / "train.txt").write_text(f"{name}\n")
    return read_data("yolo", root=str(images), split="train")


def voc_list(images: Path, name: str) -> Annotations:
    (images.parent / "secret.xml").write_text(voc_xml())
    (images / "a.xml").write_text(voc_xml())
    (images / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
    (images / "ImageSets/Main/train.txt").write_text(f"{name}\n")
    keys = {"annotations": str(images), "images": str(images)}
    return read_data("voc", root=str(images), split="train", **keys)


def voc_filename(images: Path, name: str) -> Annotations:
    folder = images / "xml"
    folder.mkdir(exist_ok=True)
    (folder / "other.xml").write_text(voc_xml(filename=name))
    return read_data("voc", annotations=str(folder), images=str(images))


FORMATS = [coco, image_folder, yolo, voc_list, voc_filename]
Read = Callable[[Path, str], Annotations]


def make_images(root: Path) -> Path:
    """``images/a.png``, a link there to a folder elsewhere, and the secret beside both."""
    images = root / "images"
    if not images.exists():
        write_image(images / "a.png")
        write_image(images / "sub/a.png")
        write_image(root / "elsewhere/linked.png")
        (images / "link").symlink_to(root / "elsewhere")
        write_image(root / "secret.png", *SECRET)
    return images


def sizes(read: Read, images: Path, name: str) -> set[tuple[int, int]]:
    """Sizes of the images that are read; none where the name is refused."""
    try:
        return {record.size for record in read(images, name).records}
    except DataError:
        return set()


@pytest.mark.parametrize("read", FORMATS)
@given(
    st.lists(st.sampled_from(["..", "..", "sub", "link", "images", "."]), max_size=5),
    st.sampled_from(["secret.png", "a.png", "linked.png", "../secret.png"]),
)
def test_no_name_reaches_what_lies_outside(
    tmp_path_factory: pytest.TempPathFactory, read: Read, parts: list[str], last: str
) -> None:
    images = make_images(tmp_path_factory.getbasetemp() / f"outside_{read.__name__}")
    assert sizes(read, images, "/".join([*parts, last])) <= {(40, 60)}


@pytest.mark.parametrize("read", FORMATS)
@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, read: Read, name: str) -> None:
    expected = "has no image named other" if read is voc_filename else "names .*secret"
    with pytest.raises(DataError, match=expected):
        read(make_images(tmp_path), name).check()


@pytest.mark.parametrize("read", FORMATS)
@pytest.mark.parametrize("name", ["a.png", "sub/../a.png", "../images/a.png"])
def test_a_name_that_stays_inside_is_read(tmp_path: Path, read: Read, name: str) -> None:
    (record,) = read(make_images(tmp_path), name).check().records
    assert Path(record.image_id) == tmp_path / "images/a.png"


@pytest.mark.parametrize("read", [coco, image_folder, yolo, voc_filename])
def test_a_link_in_the_folder_is_followed(tmp_path: Path, read: Read) -> None:
    (record,) = read(make_images(tmp_path), "link/linked.png").check().records
    assert record.size == (40, 60)


def test_the_message_names_the_file(tmp_path: Path) -> None:
    images = make_images(tmp_path)
    with pytest.raises(DataError) as caught:
        coco(images, "../secret.png").check()
    assert str(caught.value) == (
        f"{images}/instances.json names ../secret.png, which leads outside of {images}; put the"
        " image into that folder"
    )
