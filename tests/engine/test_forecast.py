"""How many boxes no prior reaches, which is said before training starts."""

import logging
import sys
from collections import Counter

import pytest
import torch

from tests.shared import SHARED, needs_shared
from vision.engine.forecast import describe_coverage, unreached
from vision.formats import read_voc
from vision.model.priors import PriorLayout, prior_boxes
from vision.structures import Target

NAMES = ["cat", "dog"]
PRIORS = torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5]])
REACHED, HALF, SMALL = [0.0, 0, 100, 50], [0.0, 0, 50, 50], [0.0, 0, 10, 10]


def target(boxes: list[list[float]], labels: list[int], ignore: list[bool] | None = None) -> Target:
    """Boxes of an image of 100 by 200, on which the priors are 50 by 100."""
    return Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.zeros(len(boxes), dtype=torch.bool) if ignore is None else torch.tensor(ignore),
        size=(100, 200),
    )


@pytest.mark.parametrize(
    ("targets", "missed", "total"),
    [
        ([target([], [])], {}, {}),
        ([target([], []), target([], [])], {}, {}),
        ([target([REACHED], [0])], {}, {"cat": 1}),
        ([target([SMALL], [1])], {"dog": 1}, {"dog": 1}),
        # Just the IoU that is asked for will do.
        ([target([HALF], [1])], {}, {"dog": 1}),
        (
            [target([REACHED, SMALL], [0, 1]), target([], []), target([SMALL, SMALL], [0, 1])],
            {"cat": 1, "dog": 2},
            {"cat": 2, "dog": 2},
        ),
        # Ignored boxes do not count.
        ([target([SMALL, SMALL], [0, 1], [True, False])], {"dog": 1}, {"dog": 1}),
        ([target([SMALL], [0], [True])], {}, {}),
    ],
)
def test_counts_boxes_that_no_prior_reaches(
    targets: list[Target], missed: dict[str, int], total: dict[str, int]
) -> None:
    assert unreached(targets, PRIORS, NAMES) == (Counter(missed), Counter(total))


@pytest.mark.parametrize(("match_iou", "missed"), [(0.1, 0), (0.5, 0), (0.51, 1), (0.9, 1)])
def test_the_overlap_is_that_of_the_configuration(match_iou: float, missed: int) -> None:
    found, total = unreached([target([HALF], [0])], PRIORS, NAMES, match_iou)
    assert (found.total(), total.total()) == (missed, 1)


def test_there_is_no_bar_when_messages_are_kept_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    found = []
    try:
        for level in (logging.NOTSET, logging.INFO):
            logging.disable(level)
            unreached([target([HALF], [0])], PRIORS, NAMES)
            found.append(capsys.readouterr().err)
    finally:
        logging.disable(logging.NOTSET)
    assert "priors" in found[0]
    assert found[1] == ""


def test_counts_more_boxes_than_fit_at_once() -> None:
    many = [target([REACHED, SMALL, SMALL], [0, 1, 1]) for _ in range(400)]
    missed, total = unreached(many, PRIORS, NAMES)
    assert (missed, total) == (Counter(dog=800), Counter(cat=400, dog=800))


def test_says_nothing_worse_where_all_are_reached() -> None:
    assert describe_coverage(Counter(), Counter(), 0.5) == (
        "priors reach all 0 training boxes at IoU 0.5"
    )
    said = describe_coverage(Counter(), Counter(cat=3, dog=1), 0.5)
    assert said == "priors reach all 4 training boxes at IoU 0.5"


def test_names_the_classes_that_suffer_and_the_remedy() -> None:
    said = describe_coverage(Counter(dog=3, cat=5), Counter(cat=9, dog=3), 0.45)
    assert said.startswith("priors: no prior reaches 8 of 12 training boxes at IoU 0.45")
    assert "(cat 5 of 9, dog 3 of 3)" in said
    assert said.endswith(
        "such boxes fit no prior (anchor box) and are learnt badly: a larger model.image_size"
        " helps, or model.priors=auto if training starts without weights"
    )
    assert "\n" not in said


MAPS_AT_320 = [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]


@needs_shared
def test_small_priors_are_what_platelets_need() -> None:
    """At the default scale nearly no platelet has a prior, and training would not tell."""
    found = read_voc(str(SHARED / "data" / "bccd"), "train")
    labels = {name: label for label, name in enumerate(found.names)}
    targets = [record.target(labels) for record in found.records]
    missed, total = unreached(targets, prior_boxes(MAPS_AT_320, PriorLayout(0.2)), found.names)
    assert missed["Platelets"] > 0.9 * total["Platelets"] > 100
    assert missed["WBC"] < 0.1 * total["WBC"]
    missed, _ = unreached(targets, prior_boxes(MAPS_AT_320, PriorLayout(0.06)), found.names)
    assert missed["Platelets"] < 0.5 * total["Platelets"]
