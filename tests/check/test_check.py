"""The check finds what was planted, all of it and nothing else."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.check import corpus
from tests.check.corpus import Corpus
from tests.formats.builders import voc_object, voc_xml, write_voc
from tests.shared import SHARED, needs_shared
from vision.check import CheckReport, Priors, check_data, scan_data
from vision.check.report import Place, find
from vision.formats import Annotations, read_coco, read_voc

OF_CLASSES = {
    "similar class names",
    "class that train does not have",
    "class without a box",
    "class with few boxes",
    "class whose boxes are all ignored",
    "class imbalance",
}


def read(root: Path) -> dict[str, Annotations]:
    return {split: read_coco(str(root), split) for split in ("train", "val")}


def check(root: Path) -> CheckReport:
    splits = read(root)
    return check_data(splits, scan_data(splits))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    made = corpus.faulty(tmp_path_factory.mktemp("faulty"))
    made.write()
    return made


@pytest.fixture(scope="module")
def report(planted: Corpus) -> CheckReport:
    return check(planted.root)


def details(report: CheckReport, kind: str) -> set[str]:
    return {
        f"{place.split}: {place.detail}"
        for finding in report.findings
        if finding.kind == kind
        for place in finding.places
    }


def test_a_clean_data_set_has_no_finding(tmp_path: Path) -> None:
    report = check(corpus.clean(tmp_path).write())
    assert not report.findings
    assert report.lines()[-1] == "no faults were found"
    assert report.classes == {
        "cat": {"train": 24, "val": 26},
        "dog": {"train": 24, "val": 26},
    }


def test_each_fault_is_found_with_its_file_and_nothing_else(
    planted: Corpus, report: CheckReport
) -> None:
    found = {
        finding.kind: {(place.split, Path(place.file).name) for place in finding.places}
        for finding in report.findings
        if finding.kind not in OF_CLASSES
    }
    assert found == planted.planted
    assert all(len(places) >= 2 for places in found.values())


def test_what_is_wrong_with_classes_is_told_by_name(report: CheckReport) -> None:
    cats = sum(report.classes["cat"].values())
    case = "they differ only in case, spaces or punctuation"
    both = "VOC and COCO use these names for the same class"
    assert details(report, "similar class names") == {
        f"train, val: 'Cat' (4 boxes) and 'cat' ({cats}): {case}",
        f"train: 'motorbike' (4 boxes) and 'motorcycle' (4): {both}",
    }
    assert details(report, "class that train does not have") == {
        "val: cow, 1 box",
        "val: horse, 1 box",
    }
    ignored = {f"train: {name}, 1 box, 1 with iscrowd and 0 difficult" for name in ("bird", "fish")}
    assert details(report, "class whose boxes are all ignored") == ignored
    few = details(report, "class with few boxes")
    assert few == {"train: Cat 4", "train: bird 1", "train: fish 1"} | {
        f"train: {name} 4" for name in ("motorbike", "motorcycle")
    }
    assert {"train: cow", "train: horse", "val: bird"} <= details(report, "class without a box")


@pytest.mark.parametrize(
    ("one", "other", "is_told"),
    [
        ("traffic light", "Traffic_Light", True),
        ("tv", "TV monitor", True),
        ("couch", "sofa", True),
        ("zebra", "zebras", True),
        ("person", "persn", True),
        ("car", "cat", False),
        ("bear", "teddy bear", False),
        ("wine glass", "cup", False),
        ("!", "?", False),
    ],
)
def test_names_that_may_mean_one_class(one: str, other: str, is_told: bool, tmp_path: Path) -> None:
    made = Corpus(tmp_path, [one, other])
    for index, label in enumerate([one] * 30 + [other]):
        made.image("train", f"{index}.jpg")
        made.entry("train", f"{index}.jpg", [(label, [10, 10, 50, 50])])
    found = check_data({"train": read_coco(str(made.write()), "train")}, []).findings
    assert is_told == ("similar class names" in {finding.kind for finding in found})


@pytest.mark.parametrize(
    "kind",
    ["missing image", "unreadable image", "ambiguous image", "unreadable tar", "decimal comma"],
)
def test_each_fault_that_a_reader_lists_has_advice(kind: str) -> None:
    (finding,) = find(kind, [Place("train", "a")])
    assert finding.level == "error"
    assert finding.advice.startswith("Training stops: ")


def test_errors_come_first_and_data_hold_all_of_it(planted: Corpus, report: CheckReport) -> None:
    levels = [finding.level for finding in report.findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    values = report.to_dict()
    assert values["errors"] == levels.count("error") >= 7
    found = {finding["kind"]: finding for finding in values["findings"]}
    outside = found["box outside its image"]
    assert outside["count"] == 2
    assert outside["places"][0] == {
        "split": "train",
        "file": str(planted.root / "train" / "box_outside_its_image0.jpg"),
        "detail": "dog (133, 10, 153, 30)",
        "boxes": [[133.0, 10.0, 153.0, 30.0]],
        "other": None,
    }
    leak = found["same image in two splits"]["places"][0]
    assert leak["other"] == ("val", str(planted.root / "val" / "first_leak0.jpg"))


def test_lines_name_files_below_their_common_folder(planted: Corpus, report: CheckReport) -> None:
    lines = report.lines()
    assert lines[0] == f"images in {planted.root}"
    start = "error: missing image: 2 (train: train/missing0.jpg, cannot be opened"
    assert any(line.startswith(start) for line in lines)


def test_all_boxes_of_a_split_ignored_is_an_error(tmp_path: Path) -> None:
    made = Corpus(tmp_path)
    for split in ("train", "val"):
        made.image(split, "a.jpg")
        made.entry(split, "a.jpg", crowd=split == "train")
    found = check(made.write()).findings
    (finding,) = [one for one in found if one.kind == "split whose boxes are all ignored"]
    assert finding.level == "error"
    assert finding.places[0].detail == "4 boxes, 4 with iscrowd and 0 difficult"


def test_configured_classes_tell_what_is_left_out_and_missing(tmp_path: Path) -> None:
    splits = read(corpus.clean(tmp_path).write())
    report = check_data(splits, [], names=["cat", "zebra"])
    assert details(report, "class that is left out") == {
        "train: dog, 24 boxes",
        "val: dog, 26 boxes",
    }
    assert details(report, "class without a box") == {"train: zebra", "val: zebra"}


def test_few_boxes_to_validate_on_are_a_warning(tmp_path: Path) -> None:
    """Boxes that are ignored, or of a class that is not configured, do not count."""
    made = corpus.clean(tmp_path)
    made.image("val", "crowd.jpg")
    made.entry("val", "crowd.jpg", crowd=True)
    splits = read(made.write())
    kind = "val with few boxes"
    assert not details(check_data(splits, []), kind)
    assert details(check_data(splits, [], names=["cat"]), kind) == {"val: 26 boxes"}
    splits["val"].records = splits["val"].records[1:]
    report = check_data(splits, [])
    assert details(report, kind) == {"val: 48 boxes"}
    (finding,) = [one for one in report.findings if one.kind == kind]
    assert finding.level == "warning"
    assert "at least 50 boxes" in finding.advice


def test_boxes_that_no_prior_reaches(tmp_path: Path) -> None:
    """The one prior is the upper left quarter, which no box of the other quarters overlaps."""
    splits = read(corpus.clean(tmp_path).write())
    priors = Priors(torch.tensor([[0.22, 0.25, 0.3, 0.37]]), (320, 320), 0.5)
    report = check_data(splits, [], priors=priors)
    (finding,) = report.findings
    assert (finding.kind, finding.level, finding.count) == ("box that no prior reaches", "note", 36)
    assert report.boxes["boxes"] == 48
    assert report.boxes["unreached"] == 36
    for table in ("by_size", "by_aspect"):
        assert sum(row["boxes"] for row in report.boxes[table]) == 48
        assert sum(row["unreached"] for row in report.boxes[table]) == 36
    # 40 of 128 and 36 of 96 pixels, seen at 320: 100 by 120 pixels.
    assert {row["label"] for row in report.boxes["by_size"] if row["boxes"]} == {"64 to 128"}


def test_faults_of_xml_files_are_named(tmp_path: Path) -> None:
    boxes = [voc_object("cat", (5, 5, 30, 30)), voc_object("dog", (35, 5, 55, 30))]
    swapped = voc_xml(voc_object("cat", (30, 30, 5, 5)), boxes[1])
    nameless = voc_xml(voc_object(None, (5, 5, 30, 30)))
    files = {"a": voc_xml(*boxes), "b": swapped, "c": swapped, "d": "<annotation>", "e": nameless}
    write_voc(tmp_path, files)
    for seed, stem in enumerate(files):
        Image.fromarray(corpus.scene(seed)[:40, :60]).save(tmp_path / "JPEGImages" / f"{stem}.jpg")
    splits = {"train": read_voc(str(tmp_path), "train")}
    report = check_data(splits, scan_data(splits))
    found = {
        finding.kind: [Path(place.file).name for place in finding.places]
        for finding in report.findings
        if finding.level != "note"
    }
    assert found == {
        "invalid annotation": ["d.xml", "e.xml"],
        "boxes whose corners were swapped": ["b.xml", "c.xml"],
    }


@needs_shared
def test_the_two_bad_boxes_of_bccd_are_reported() -> None:
    root = str(SHARED / "data" / "bccd")
    splits = {split: read_voc(root, split) for split in ("train", "val")}
    report = check_data(splits, [])
    (error,) = [finding for finding in report.findings if finding.level == "error"]
    assert error.kind == "box without area"
    assert [(place.split, Path(place.file).name) for place in error.places] == [
        ("train", "BloodImage_00343.jpg"),
        ("val", "BloodImage_00338.jpg"),
    ]
