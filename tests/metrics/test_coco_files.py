"""COCO's numbers of files: against pycocotools on the same files, and as published."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.metrics.samples import perfect
from tests.metrics.synthetic_coco import write_coco_files
from tests.metrics.test_coco import numbers, with_pycocotools
from tests.shared import SHARED, needs_shared
from vision.metrics import CocoResult, coco_ap, evaluate_detections, read_coco_results


def assert_equals_pycocotools(truth: Path, found: Path) -> CocoResult:
    """Each number of the two files' evaluation, which is returned."""
    detections, targets, names = read_coco_results(truth, found)
    result = coco_ap(detections, targets, len(names))
    instances, results = (json.loads(path.read_text(encoding="utf-8")) for path in (truth, found))
    expected, expected_per_class = with_pycocotools(instances, results)
    assert numbers(result) == pytest.approx(expected, abs=1e-9)
    assert result.per_class == pytest.approx(expected_per_class, abs=1e-9)
    return result


@pytest.mark.parametrize("seed", range(3))
def test_equals_pycocotools_on_decimals(tmp_path: Path, seed: int) -> None:
    """Boxes and scores are the file's own numbers, not those of float32."""
    result = assert_equals_pycocotools(*write_coco_files(tmp_path, seed, 40, 300, 4000))
    assert None not in numbers(result)
    assert None in result.per_class


@needs_shared
def test_published_numbers() -> None:
    """Many scores are equal, so that the order of images and detections counts."""
    folder = SHARED / "data" / "cocoapi_eval"
    result = assert_equals_pycocotools(
        folder / "instances_val2014_100.json",
        folder / "instances_val2014_fakebbox100_results.json",
    )
    published = [0.505, 0.697, 0.573, 0.586, 0.519, 0.501, 0.387, 0.594, 0.595, 0.640, 0.566, 0.564]
    assert [round(value, 3) for value in numbers(result) if value is not None] == published


@needs_shared
def test_real_boxes_and_crowds_equal_pycocotools(tmp_path: Path) -> None:
    truth = SHARED / "data" / "coco_mini" / "annotations" / "instances_val.json"
    rows = json.loads(truth.read_text(encoding="utf-8"))["annotations"]
    assert any(row["iscrowd"] for row in rows)
    random = np.random.default_rng(0)
    found = [
        {
            "image_id": row["image_id"],
            "category_id": other["category_id"] if random.random() < 0.1 else row["category_id"],
            "bbox": (np.array(row["bbox"]) * random.normal(1, 0.1, 4)).round(1).tolist(),
            "score": round(random.random(), 2),
        }
        for row, other in zip(rows * 4, random.permutation(rows * 4), strict=True)
    ]
    path = tmp_path / "found.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    assert_equals_pycocotools(truth, path)


@needs_shared
def test_real_truth_as_detections_is_perfect() -> None:
    folder = SHARED / "data" / "cocoapi_eval"
    paths = (
        folder / "instances_val2014_100.json",
        folder / "instances_val2014_fakebbox100_results.json",
    )
    _, truth, names = read_coco_results(*paths)
    found = [perfect(one)[~one.crowd] for one in truth]
    metrics = evaluate_detections(found, truth, names)
    assert (metrics.voc.mean, metrics.voc.mean_11pt) == (1.0, 1.0)
    coco = metrics.coco
    assert {coco.AP, coco.AP50, coco.AP75, coco.APs, coco.APm, coco.APl} == {1.0}
    assert {coco.AR100, coco.ARs, coco.ARm, coco.ARl} == {1.0}
    assert set(coco.per_class) == {1.0, None}
