"""What ``tidecv`` 1.0.1 says of the cases: ``tide_values.json``, which this command prints.

    pip install tidecv==1.0.1
    python -m tests.metrics.tide_values > tests/metrics/tide_values.json

The tests read the file, so that they do not need ``tidecv``, which brings pandas and seaborn.
"""

import json
import sys

from tidecv import TIDE, Data  # type: ignore[import-not-found]

from tests.metrics.tide_cases import NUM_CLASSES, NUM_IMAGES, make_case
from tests.reference_tide import Corners, Found, Truth

NAMES = {
    "Cls": "classification",
    "Loc": "localisation",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
    "FalsePos": "false positives",
    "FalseNeg": "false negatives",
}


def tidecv_values(found: list[Found], truth: list[Truth]) -> dict[str, float]:
    """AP50 and the costs of the errors by ``tidecv``, in [0, 1]."""
    ground_truth, results = Data("truth"), Data("results")
    for data in (ground_truth, results):
        for image in range(NUM_IMAGES):
            data.add_image(image, str(image))
        for label in range(NUM_CLASSES):
            data.add_class(label, str(label))
    for box in truth:
        add = ground_truth.add_ignore_region if box.ignored else ground_truth.add_ground_truth
        add(box.image, box.label, box=_xywh(box.corners))
    for one in found:
        results.add_detection(one.image, one.label, one.score, box=_xywh(one.corners))
    tide = TIDE()
    run = tide.evaluate(ground_truth, results, mode="bbox")
    costs = {**tide.get_main_errors()["results"], **tide.get_special_errors()["results"]}
    values = {"AP50": run.ap, **{NAMES[name]: cost for name, cost in costs.items()}}
    return {name: float(value) / 100 for name, value in values.items()}


def _xywh(corners: Corners) -> list[float]:
    x0, y0, x1, y1 = corners
    return [x0, y0, x1 - x0, y1 - y0]


if __name__ == "__main__":
    cases = {seed: tidecv_values(*make_case(seed)) for seed in range(12)}
    lines = [f'  "{seed}": {json.dumps(values)}' for seed, values in cases.items()]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
