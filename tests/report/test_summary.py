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


def costs(kind: str) -> dict[str, float]:
    """One kind of error costs most."""
    return COSTS | {kind: 0.5}


def test_how_good_says_what_is_found_what_is_right_and_how_sure_that_is() -> None:
    """95 of 120 objects are found, and 95 of 110 detections are right."""
    text = summarise(analysis())[0].text
    assert text == (
        "At the best thresholds it finds 79% of the objects, and 86% of its detections are right:"
        " voc.mAP50 is 0.767 (95% interval 0.701 to 0.823), measured on 30 images with 120 boxes."
        f" {MEANING}"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"intervals": {}},
            (
                "At the best thresholds it finds 79% of the objects, and 86% of its detections are"
                " right: voc.mAP50 is 0.767, measured on 30 images with 120 boxes."
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
                "It finds none of the objects: voc.mAP50 is 0.000 (95% interval 0.000 to 0.000),"
                " measured on 30 images with 120 boxes."
                f" {MEANING}"
            ),
        ),
        (
            {"metrics": metrics(boxes=[0, 0, 0, 0])},
            "Nothing can be measured: no box in 30 images.",
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
            "Objects that are not found cost most, 50.0 points of AP50: dog most often, 8 of 40.",
            "dog",
        ),
        (
            "background",
            (
                "Detections where no object is labelled cost most, 50.0 points of AP50: cat most"
                " often, 1 time."
            ),
            "cat",
        ),
        (
            "classification",
            (
                "Objects that are found as another class cost most, 50.0 points of AP50: cat found"
                " as dog most often, 4 times."
            ),
            "dog",
        ),
        (
            "localisation",
            "Boxes that fit badly cost most, 50.0 points of AP50: cow most often, 2 times.",
            "cow",
        ),
        (
            "both",
            "Boxes that fit badly and have the wrong class cost most, 50.0 points of AP50.",
            None,
        ),
        (
            "duplicate",
            (
                "Second detections of an object cost most, 50.0 points of AP50: dog most often, 5"
                " times."
            ),
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


def test_errors_that_cost_nothing_are_not_named() -> None:
    cheap = {kind: cost / 1000 for kind, cost in COSTS.items()}
    assert summarise(analysis(error_costs=cheap))[1].text == (
        "No kind of error costs as much as half a point of AP50."
    )


@pytest.mark.parametrize(
    ("changes", "text", "command"),
    [
        pytest.param(
            {"metrics": metrics(boxes=[0, 0, 0, 0])},
            "Name images with labelled boxes to evaluate on.",
            "check",
            id="no boxes",
        ),
        pytest.param(
            {"thresholds": [None] * 4},
            "No detection is right: train it on these classes, for longer (train.epochs) if that is"
            " done, or check the labels.",
            "train_longer",
            id="nothing right",
        ),
        pytest.param(
            {"metrics": metrics((0.01, 0.0, 0.1))},
            "It has learnt little: train longer (train.epochs), and check the labels.",
            "train_longer",
            id="hardly trained",
        ),
        pytest.param(
            {"suspects": suspects("other class", DOG, 5, true=CAT)},
            "Look at the labels first: 5 boxes are found as another class with a score of 0.7 and"
            " more, most often cat as dog. Where the labels are right, add pictures of both.",
            "check",
            id="swapped labels",
        ),
        pytest.param(
            {
                "suspects": suspects("missing box", COW, 4)
                + suspects("missing box", DOG, 3)
                + suspects("other class", CAT, 5, true=DOG)
            },
            "Look at the labels first: 7 detections of score 0.7 and more lie on no box, most"
            " often cow. Where no box is missing, train on pictures without objects, too.",
            "check",
            id="missing boxes",
        ),
        pytest.param(
            {"suspects": suspects("unfound box", CAT, 6)},
            "Look at the labels first: 6 boxes are found at no score, most often cat. Where they"
            " are right, add pictures of the kind.",
            "check",
            id="boxes of nothing",
        ),
        pytest.param(
            {"metrics": metrics(boxes=[30, 10, 9, 0])},
            "Label more images to evaluate on: these have 49 boxes, and at least 50 are needed to"
            " measure how good a detector is.",
            "evaluate",
            id="too few boxes",
        ),
        pytest.param(
            {"metrics": metrics((0.9, 0.8, 0.2), [90, 60, 14, 0])},
            "More pictures of cow: it has 14 boxes here where the median class has 60, and AP50"
            " 0.20 where the mean is 0.63. Then train again.",
            "train",
            id="a rare class",
        ),
        pytest.param(
            {"metrics": metrics((0.9, 0.8, 0.2), [60, 40, 9, 0])},
            "cow has only 9 boxes: its AP says nothing; add pictures of it to val.",
            None,
            id="a class of few boxes",
        ),
        pytest.param(
            {"metrics": metrics((0.9, 0.8, 0.2), [60, 1, 9, 0])},
            "2 classes have fewer than 10 boxes (dog 1, cow 9): their AP says nothing; add pictures"
            " of them to val.",
            None,
            id="classes of few boxes",
        ),
        pytest.param(
            {"sizes": SMALL},
            "Show the network larger images: of the boxes of up to 32 px it finds 30%, of all 70%.",
            "train_larger",
            id="small objects",
        ),
        pytest.param(
            {"aspects": LONG},
            "See whether other priors reach long boxes: of wide ones it finds 40%, of all 76%.",
            "priors",
            id="long objects",
        ),
        pytest.param(
            {},
            "More pictures of dog to train on: 8 of 40 are missed. Then train again.",
            "train",
            id="missed",
        ),
        pytest.param(
            {"error_costs": costs("classification")},
            "More pictures of cat and dog that tell them apart, labelled by one rule: cat is found"
            " as dog 4 times. Then train again.",
            "train",
            id="confused",
        ),
        pytest.param(
            {"error_costs": costs("background")},
            "Use the best score threshold of each class, and train on pictures without objects in"
            " which it sees dog.",
            "detect",
            id="background",
        ),
        pytest.param(
            {"error_costs": costs("localisation")},
            "Show the network larger images: objects are found, but their boxes fit badly.",
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
        assert sentence.text.startswith("More pictures of cat and dog that tell them apart")
        return
    assert sentence.text == (
        "Look at the labels of cat and dog: 3 boxes of one are found as the other with a score of"
        " 0.7 and more. Where the labels are right, add pictures of both that tell them apart."
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
    assert advice.text.startswith("Look at the labels first: 9 boxes are found as another class")


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
    assert sentence.text == "Suppress more of the boxes that overlap: try a lower nms_iou."
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
    assert summarise(analysis(suspects=few))[2].text.startswith("More pictures of dog")


def test_suspects_are_few_where_confident_detections_are_many() -> None:
    """Five of a hundred are many, of two hundred they are few."""
    doubts = suspects("missing box", CAT, 5)
    for count, text in ((100, "Look at the labels"), (200, "More pictures of dog")):
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
        "What costs most?",
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
        assert "finds 100% of the objects" in texts[0]
        assert texts[1] == "No kind of error costs as much as half a point of AP50."
        assert texts[2:] == [
            "No kind of error stands out: try it on photographs that it has not seen."
        ]


def test_errors_of_low_scores_alone_name_no_class() -> None:
    """At the best thresholds nothing is wrong, so that no class can be named."""
    perfect = np.diag([60, 40, 20, 0, 0])
    texts = {
        "background": "Use the best score threshold of each class.",
        "classification": "Objects are detected as another class: more pictures that show how the"
        " classes differ. Then train again.",
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
        assert first.text.startswith("More pictures of dog to train on")
        assert first.command == commands.train
        return
    told = "1 epoch is" if epochs == 1 else f"{epochs} epochs are"
    assert first.text.startswith(f"Train longer: {told} few for these images")
    assert first.command == commands.train_longer == f"{commands.train} {longer}"
    assert others[0].text.startswith("More pictures of dog to train on")


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
