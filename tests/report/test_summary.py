"""The three sentences: which analysis leads to which."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.samples import CAT, COSTS, COW, DOG, analysis, metrics, mistake, suspects
from tests.runs import write_run_config
from vision.cli.commands import parse
from vision.metrics.analysis import CalibrationBin, Group, Suspect
from vision.report import Commands, commands_for, summarise
from vision.report.summary import MEANING

COMMANDS = Commands(
    "ssdlite evaluate",
    "ssdlite train",
    "ssdlite train_longer",
    "ssdlite train_larger",
    "ssdlite priors",
    "ssdlite check",
    "ssdlite detect",
)
SMALL = [
    Group("small, up to 32 px", 40, 0.2, 0.3),
    Group("32 to 96", 40, 0.9, 0.9),
    Group("96 and more", 40, 0.9, 0.9),
]
LONG = [
    Group("tall, under 1:2", 8, 0.1, 0.1),
    Group("about square, 1:2 to 2:1", 92, 0.9, 0.9),
    Group("wide, over 2:1", 20, 0.5, 0.4),
]


COST = " cost most: without them, AP50 would be 50.0 points (hundredths) higher."


def costs(kind: str) -> dict[str, float]:
    """One kind of error costs most."""
    return COSTS | {kind: 0.5}


def test_how_good_says_what_is_found_what_is_right_and_how_sure_that_is() -> None:
    """95 of 120 objects are found, and 95 of 110 detections are right."""
    text = summarise(analysis())[0].text
    assert text == (
        "With the best score threshold of each class, the detector finds 79% of the objects, and"
        " 86% of its detections are right. voc.mAP50 is 0.767 (95% interval 0.701 to 0.823),"
        " measured on 30 images with 120 boxes."
        f" {MEANING}"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"intervals": {}},
            (
                "With the best score threshold of each class, the detector finds 79% of the"
                " objects, and 86% of its detections are right. voc.mAP50 is 0.767, measured on 30"
                " images with 120 boxes."
                f" {MEANING}"
            ),
        ),
        (
            {
                "confusion": np.array([[0, 0, 0, 0, n] for n in (60, 40, 20, 0, 0)]),
                "metrics": metrics((0.0, 0.0, 0.0)),
                "thresholds": [None] * 4,
                "intervals": {"voc.mAP50": (0.0, 0.0)},
            },
            (
                "The detector finds none of the objects. voc.mAP50 is 0.000 (95% interval 0.000 to"
                " 0.000), measured on 30 images with 120 boxes."
                f" {MEANING}"
            ),
        ),
        (
            {"metrics": metrics(boxes=[0, 0, 0, 0])},
            (
                "Nothing can be measured: no labelled box in 30 images, or only difficult objects"
                " and crowds."
            ),
        ),
    ],
)
def test_how_good_where_something_is_lacking(changes: dict[str, Any], text: str) -> None:
    assert summarise(analysis(**changes))[0].text == text


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [
        (
            "missed",
            f"Objects that are not found{COST} Most often missed: dog, 8 of 40 objects.",
            "dog",
        ),
        (
            "background",
            f"Detections where no object is labelled{COST} Most often: cat, 1 time.",
            "cat",
        ),
        (
            "classification",
            (
                f"Detections with the wrong class{COST} Most often confused: cat detected as dog, 4"
                " times."
            ),
            "dog",
        ),
        (
            "localisation",
            f"Detections whose box fits badly{COST} Most often: cow, 2 times.",
            "cow",
        ),
        ("both", f"Detections with the wrong class whose box also fits badly{COST}", None),
        (
            "duplicate",
            f"Repeated detections of one object{COST} Most often: dog, 5 times.",
            "dog",
        ),
    ],
)
def test_what_costs_most(kind: str, text: str, name: str | None) -> None:
    """Most wrong detections that match no object are of dog, but they are duplicates."""
    made = [mistake("localisation", label) for label in (CAT, COW, COW)]
    made += [mistake("background", CAT), *[mistake("duplicate", DOG)] * 5]
    sentence = summarise(analysis(error_costs=costs(kind), mistakes=made))[1]
    assert (sentence.text, sentence.kind, sentence.name) == (text, kind, name)


def test_without_boxes_no_error_is_said_to_be_cheap() -> None:
    sentence = summarise(analysis(metrics=metrics(boxes=[0, 0, 0, 0]), error_costs={}))[1]
    assert sentence.text == "That cannot be measured without labelled boxes."


def test_errors_that_cost_nothing_are_not_named() -> None:
    cheap = {kind: cost / 1000 for kind, cost in COSTS.items()}
    assert summarise(analysis(error_costs=cheap))[1].text == (
        "No kind of error costs as much as 0.5 points of AP50."
    )


@pytest.mark.parametrize(
    ("changes", "text", "command"),
    [
        pytest.param(
            {"metrics": metrics(boxes=[0, 0, 0, 0])},
            "Evaluate on images with labelled boxes; a check shows what these data contain.",
            "check",
            id="no boxes",
        ),
        pytest.param(
            {"thresholds": [None] * 4},
            "No detection is right. If the detector was not trained on these classes, train it on"
            " them; if it was, train longer (train.epochs) and check the labels.",
            "train_longer",
            id="nothing right",
        ),
        pytest.param(
            {"metrics": metrics((0.01, 0.0, 0.1))},
            "The detector has learnt too little to tell its errors apart: train longer"
            " (train.epochs), and check the labels.",
            "train_longer",
            id="hardly trained",
        ),
        pytest.param(
            {"suspects": suspects("other class", DOG, 5, true=CAT)},
            "Check the labels: 5 labelled boxes are detected as another class with a score of"
            " at least 0.7, most often cat as dog. Correct the labels that are wrong; if none are,"
            " add training pictures of both classes.",
            "check",
            id="swapped labels",
        ),
        pytest.param(
            {
                "suspects": suspects("missing box", COW, 4)
                + suspects("missing box", DOG, 3)
                + suspects("other class", CAT, 5, true=DOG)
            },
            "Check the labels: 7 detections with a score of at least 0.7 are where no box is"
            " labelled, most often cow. Add the boxes that are missing; if none are, also train on"
            " pictures without objects.",
            "check",
            id="missing boxes",
        ),
        pytest.param(
            {"suspects": suspects("unfound box", CAT, 6)},
            "Check the labels: 6 labelled boxes are not found at any score, most often cat."
            " Correct the boxes that are wrong; if none are, add training pictures of such"
            " objects.",
            "check",
            id="boxes of nothing",
        ),
        pytest.param(
            {"metrics": metrics(boxes=[30, 10, 9, 0])},
            "Label more images to evaluate on: these have 49 boxes, but it takes at least 50 to"
            " measure how good a detector is.",
            "evaluate",
            id="too few boxes",
        ),
        pytest.param(
            {"metrics": metrics((0.9, 0.8, 0.2), [90, 60, 14, 0])},
            "Add training pictures of cow: it has 14 boxes here, the median class 60, and its AP50"
            " is 0.20, the mean 0.63. Then train again.",
            "train",
            id="a rare class",
        ),
        pytest.param(
            {"metrics": metrics((0.9, 0.8, 0.2), [60, 40, 9, 0])},
            "cow has only 9 boxes, too few for a meaningful AP: label more validation images of"
            " it.",
            None,
            id="a class of few boxes",
        ),
        pytest.param(
            {"metrics": metrics((0.9, 0.8, 0.2), [60, 1, 9, 0])},
            "2 classes have fewer than 10 boxes (dog 1, cow 9), too few for a meaningful AP: label"
            " more validation images of them.",
            None,
            id="classes of few boxes",
        ),
        pytest.param(
            {"sizes": SMALL},
            "Train with larger images (model.image_size): of the boxes with a size of up to 32 px,"
            " 30% are found, but 70% of all boxes.",
            "train_larger",
            id="small objects",
        ),
        pytest.param(
            {"aspects": LONG},
            "Check whether other priors (anchor boxes) would match long boxes better: 40% of the"
            " wide boxes are found, but 76% of all boxes.",
            "priors",
            id="long objects",
        ),
        pytest.param(
            {},
            "Add training pictures of dog: 8 of 40 are missed. Then train again.",
            "train",
            id="missed",
        ),
        pytest.param(
            {"error_costs": costs("classification")},
            "Add training pictures of cat and dog that show how they differ, labelled by one rule:"
            " cat is detected as dog 4 times. Then train again.",
            "train",
            id="confused",
        ),
        pytest.param(
            {"error_costs": costs("background")},
            "Use the best score threshold of each class, and train on pictures without objects"
            " that the detector mistakes for dog.",
            "detect",
            id="background",
        ),
        pytest.param(
            {"error_costs": costs("localisation")},
            "Train with larger images (model.image_size): many detected boxes fit badly.",
            "train_larger",
            id="loose boxes",
        ),
    ],
)
def test_what_to_do_next(changes: dict[str, Any], text: str, command: str | None) -> None:
    sentence = summarise(analysis(**changes), COMMANDS)[2]
    assert (sentence.text, sentence.command) == (text, command and f"ssdlite {command}")


@pytest.mark.parametrize("count", [2, 3])
def test_labels_of_confused_classes_come_before_more_pictures_of_them(count: int) -> None:
    """One box of dog is found as cat, the others the other way; a weak suspect does not count."""
    doubts = [
        *suspects("other class", DOG, count - 1, true=CAT),
        *suspects("other class", CAT, 1, true=DOG),
        *suspects("other class", CAT, 4, true=DOG, score=0.6),
        *suspects("other class", COW, 1, true=CAT),
    ]
    made = analysis(suspects=doubts, error_costs=costs("classification"))
    sentence = summarise(made, COMMANDS)[-1]
    if count == 2:
        assert sentence.text.startswith("Add training pictures of cat and dog that show how they")
        return
    assert sentence.text == (
        "Check the labels of cat and dog: 3 boxes of one class are detected as the other with a"
        " score of at least 0.7. If the labels are right, add training pictures of both that show"
        " how they differ."
    )
    assert (sentence.command, sentence.kind, sentence.name) == (
        "ssdlite check",
        "other class",
        "cat",
    )


def test_labels_of_confused_classes_are_named_once() -> None:
    doubts = suspects("other class", DOG, 9, true=CAT)
    made = analysis(suspects=doubts, error_costs=costs("classification"))
    (advice,) = summarise(made)[2:]
    assert advice.text.startswith("Check the labels: 9 labelled boxes are detected as another")


@pytest.mark.parametrize(
    ("kind", "label", "true", "name"),
    [
        ("missing box", COW, None, "cow"),
        ("other class", DOG, CAT, "cat"),
        ("unfound box", CAT, CAT, "cat"),
    ],
)
def test_advice_on_labels_opens_the_class_that_it_names(
    kind: str, label: int, true: int | None, name: str
) -> None:
    sentence = summarise(analysis(suspects=suspects(kind, label, 6, true)))[2]
    assert (sentence.kind, sentence.name) == (kind, name)


def test_duplicates_are_suppressed_in_the_evaluation_first() -> None:
    sentence = summarise(analysis(error_costs=costs("duplicate")), COMMANDS)[2]
    assert sentence.text == (
        "Suppress more of the overlapping detections of a class: try a lower nms_iou."
    )
    assert sentence.command == "ssdlite evaluate model.postprocess.nms_iou=0.4"


@pytest.mark.parametrize(
    "few",
    [
        suspects("missing box", CAT, 4),
        suspects("unfound box", CAT, 5),  # of 120 boxes
        suspects("other class", CAT, 9, true=DOG, score=0.69),
    ],
)
def test_few_suspects_are_no_reason_to_doubt_the_labels(few: list[Suspect]) -> None:
    assert summarise(analysis(suspects=few))[2].text.startswith("Add training pictures of dog")


def test_suspects_are_few_where_confident_detections_are_many() -> None:
    """Five of a hundred are many, of two hundred they are few."""
    doubts = suspects("missing box", CAT, 5)
    for count, text in ((100, "Check the labels"), (200, "Add training pictures of dog")):
        bins = [CalibrationBin(0.0, 0.5, 900, 0.3, 0.1), CalibrationBin(0.8, 1.0, count, 0.9, 0.9)]
        sentence = summarise(analysis(suspects=doubts, calibration=bins))[2]
        assert sentence.text.startswith(text)


def test_all_that_applies_is_said_in_turn() -> None:
    spoilt = analysis(
        suspects=suspects("missing box", COW, 7) + suspects("other class", CAT, 5, true=DOG),
        metrics=metrics((0.9, 0.8, 0.2), [90, 60, 14, 0]),
        error_costs=costs("duplicate"),
    )
    sentences = summarise(spoilt)
    assert [sentence.title for sentence in sentences] == [
        "How good is it?",
        "Which errors cost most?",
        "What to do next?",
        *["After that"] * 3,
    ]
    assert [sentence.kind for sentence in sentences[2:]] == [
        "missing box",
        "other class",
        "missed",
        "duplicate",
    ]


def test_without_commands_there_is_text_alone() -> None:
    for kind in COSTS:
        assert summarise(analysis(error_costs=costs(kind)))[2].command is None


def test_a_detector_that_makes_no_mistake_has_its_sentences() -> None:
    perfect = np.diag([60, 40, 20, 0, 0])
    for kind in COSTS:
        zero = dict.fromkeys(COSTS, 0.0) | {kind: 0.001}
        made = analysis(confusion=perfect, error_costs=zero, mistakes=[])
        texts = [sentence.text for sentence in summarise(made)]
        assert "the detector finds 100% of the objects" in texts[0]
        assert texts[1] == "No kind of error costs as much as 0.5 points of AP50."
        assert texts[2:] == [
            "No kind of error stands out: try the detector on photographs that are new to it."
        ]


def test_errors_of_low_scores_alone_name_no_class() -> None:
    """At the best thresholds nothing is wrong, so that no class can be named."""
    perfect = np.diag([60, 40, 20, 0, 0])
    texts = {
        "background": "Use the best score threshold of each class.",
        "classification": "Add training pictures that show how the classes differ. Then train"
        " again.",
    }
    for kind, text in texts.items():
        made = analysis(confusion=perfect, error_costs=costs(kind), mistakes=[])
        assert [sentence.text for sentence in summarise(made)[2:]] == [text]


@pytest.mark.parametrize(
    ("epochs", "images", "longer"),
    [
        (1, 60, "train.epochs=8"),  # 8 is the least of a recipe for up to 300 images
        (7, 60, "train.epochs=14"),
        (8, 60, None),
        (3, 100_000, None),  # 3 for very many
        (2, 100_000, "train.epochs=4"),
        (1, None, None),  # an earlier version noted no images
    ],
)
def test_after_few_epochs_longer_training_comes_first(
    tmp_path: Path, epochs: int, images: int | None, longer: str | None
) -> None:
    write_run_config(tmp_path / "config.yaml", f"train.epochs={epochs}")
    noted = {} if images is None else {"images": {"train": images}}
    (tmp_path / "environment.json").write_text(json.dumps(noted), encoding="utf-8")
    commands = commands_for("run", (), tmp_path, (320, 320))
    first, *others = summarise(analysis(), commands)[2:]
    if longer is None:
        assert first.text.startswith("Add training pictures of dog")
        assert first.command == commands.train
        return
    told = "1 epoch is" if epochs == 1 else f"{epochs} epochs are"
    assert first.text.startswith(f"Train longer: {told} too few for so many images")
    assert first.command == commands.train_longer == f"{commands.train} {longer}"
    assert others[0].text.startswith("Add training pictures of dog")


def test_commands_are_those_that_the_command_line_takes(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    write_run_config(run / "config.yaml")
    made = commands_for(str(run), ["--data", "MINE"], run, (320, 320))
    assert [parsed(line) for line in made[:-1]] == [
        ("eval", "MINE", None),
        ("train", None, f"{run}/config.yaml"),
        ("train", None, f"{run}/config.yaml"),
        ("train", None, f"{run}/config.yaml"),
        ("priors", None, f"{run}/config.yaml"),
        ("check", "MINE", "finetune"),
        ("detect", None, None),
    ]
    assert made.train == f"ssdlite train --config '{run}/config.yaml' --out '{run}_2'"
    assert made.train_longer == f"{made.train} train.epochs=4"
    assert made.train_larger == f"{made.train} 'model.image_size=[480, 480]'"
    assert made.check == "ssdlite check --data MINE --out check"
    loose = commands_for("w.safetensors", ["data.val.root=X"], None, (300, 300), ["cat=0.5"])
    assert loose.evaluate == "ssdlite eval --weights w.safetensors data.val.root=X"
    assert loose.train == "ssdlite train --data X model.init=w.safetensors"
    assert loose.train_longer is None
    assert (loose.priors, loose.check) == (
        "ssdlite priors --data X",
        "ssdlite check --data X --out check",
    )
    exported = commands_for("best.onnx", ["--data", "X"], None, (320, 320))
    assert exported.train == "ssdlite train --data X"  # an exported graph can't be trained
    assert loose.train_larger == f"{loose.train} 'model.image_size=[448, 448]'"
    assert loose.detect == "ssdlite detect photos/ --weights w.safetensors --score cat=0.5"


@pytest.mark.parametrize(
    ("words", "data"),
    [
        (["--data", "my pets"], "'my pets'"),
        (["data.val.format=voc", "data.val.root='my pets'", "data.val.split=val"], "'my pets'"),
        (["data.val.annotations=a.json"], "MINE"),
        ([], "MINE"),
    ],
)
def test_commands_name_the_folder_of_the_data_where_it_is_known(
    words: list[str], data: str
) -> None:
    made = commands_for("w.safetensors", words, None, (300, 300))
    assert made.train == f"ssdlite train --data {data} model.init=w.safetensors"
    assert made.priors == f"ssdlite priors --data {data}"
    assert made.check == f"ssdlite check --data {data} --out check"


def parsed(line: object) -> tuple[str, str | None, str | None]:
    """The command of a line, its data and its configuration; an option it has not is None."""
    assert isinstance(line, str)
    _, name, *words = shlex.split(line)
    options = parse(name, words)
    return name, getattr(options, "data", None), getattr(options, "config", None)
