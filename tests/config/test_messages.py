"""What a user reads whose configuration is wrong: every error, where it is, and what was meant."""

from typing import Any

import pytest

from vision.config import config_from_dict
from vision.errors import ConfigError

VOC: dict[str, Any] = {"format": "voc", "root": "a", "split": "s"}


def message(values: dict[str, Any], *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config_from_dict(values, overrides, "run.yaml")
    return str(caught.value)


UNKNOWN: list[tuple[dict[str, Any], str]] = [
    # A sibling misspelt.
    ({"train": {"epoch": 3}}, "train.epoch is not a key; did you mean train.epochs?"),
    ({"trian": {}}, "trian is not a key; did you mean train?"),
    (
        {"model": {"priors": {"minscale": 0.1}}},
        "model.priors.minscale is not a key; did you mean model.priors.min_scale?",
    ),
    ({"augment": {"presets": 1}}, "augment.presets is not a key; did you mean augment.preset?"),
    (
        {"data": {"train": {**VOC, "anotations": "x"}}},
        "data.train.anotations is not a key; did you mean data.train.annotations?",
    ),
    (
        {"data": {"train": [VOC, {**VOC, "imges": "x"}]}},
        "data.train.1.imges is not a key; did you mean data.train.1.images?",
    ),
    # The right key in the wrong place.
    ({"lr": 0.1}, "lr is not a key; did you mean optim.lr?"),
    ({"train": {"lr": 0.1}}, "train.lr is not a key; did you mean optim.lr?"),
    ({"min_scale": 0.1}, "min_scale is not a key; did you mean model.priors.min_scale?"),
    (
        {"model": {"nms_iou": 1}},
        "model.nms_iou is not a key; did you mean model.postprocess.nms_iou?",
    ),
    ({"classes": ["a"]}, "classes is not a key; did you mean data.classes?"),
    # Nothing like it.
    ({"zzz": 1}, "zzz is not a key; there are augment, data, loss, model, optim, train"),
    ({"_base_": "x"}, "_base_ is not a key; there are augment, data, loss, model, optim, train"),
    ({"augment": {"qqq": 1}}, "augment.qqq is not a key; there are on_device, preset"),
    # A key of another format's source.
    (
        {"data": {"val": {"format": "synthetic", "num_images": 1, "zroot": "a"}}},
        "data.val.zroot is not a key; there are format, image_size, num_images, seed",
    ),
    ({"train": {1: 2}}, "train.1: keys should be strings, found 1"),
]


@pytest.mark.parametrize(("values", "said"), UNKNOWN)
def test_unknown_keys_get_a_did_you_mean(values: dict[str, Any], said: str) -> None:
    assert message(values) == f"run.yaml: {said}"


def test_an_unknown_override_gets_a_did_you_mean() -> None:
    assert message({}, "train.epocs=3").endswith("did you mean train.epochs?")
    said = "data.train.0.rot is not a key; did you mean data.train.0.root?"
    assert message({"data": {"train": [VOC]}}, "data.train.0.rot=x") == f"run.yaml: {said}"


def test_never_suggests_the_refused_key_itself() -> None:
    """``num_images`` is a key of drawn data, not of VOC's."""
    said = message({"data": {"train": {**VOC, "num_images": 3}}})
    assert said.startswith("run.yaml: data.train.num_images is not a key")
    assert said.count("num_images") == 1


VALUES: list[tuple[dict[str, Any], str]] = [
    ({"data": {"train": {}}}, "data.train.format is missing; it is voc, coco or synthetic"),
    ({"data": {"train": {"root": "a"}}}, "data.train.format is missing; it is voc, coco or synt"),
    ({"data": {"val": [VOC, {}]}}, "data.val.1.format is missing; it is voc, coco or synthetic"),
    (
        {"data": {"train": {**VOC, "format": "yolo"}}},
        "data.train.format: expected 'voc', 'coco', 'synthetic', found 'yolo'",
    ),
    ({"data": {"train": {"format": "voc", "root": "a"}}}, "data.train.split is missing"),
    ({"data": {"val": [{"format": "coco", "split": "a"}]}}, "data.val.0.root is missing"),
    ({"data": {"train": 3}}, "data.train: expected keys and values, found 3"),
    ({"data": {"train": [3]}}, "data.train.0: expected keys and values, found 3"),
    (
        {"data": {"train": {**VOC, "root": 7}}},
        "data.train.root: expected text, found 7; put it in q",
    ),
    ({"model": 3}, "model: expected keys and values, found 3"),
    ({"train": None}, "train: expected keys and values, found None"),
    ({"train": {"epochs": "3"}}, "train.epochs: input should be a valid integer, found '3'"),
    ({"train": {"device": 0}}, "train.device: expected text, found 0; put it in quotes"),
    ({"augment": {"preset": "sdd"}}, "augment.preset: input should be 'none', 'ssdlite' or 'ssd'"),
    ({"model": {"width_mult": 0.6}}, "model.width_mult: 0.6 is none of 0.25, 0.35, 0.5, 0.75, 1.0"),
    (
        {"model": {"priors": {"min_scale": 0.9, "max_scale": 0.5}}},
        "model.priors: min_scale 0.9 is not below max_scale 0.5",
    ),
    ({"data": {"classes": []}}, "data.classes: it is empty; name a class, or write null"),
    ({"data": {"classes": ["b", "a", "b"]}}, "data.classes: named twice: b"),
]


@pytest.mark.parametrize(("values", "said"), VALUES)
def test_names_the_key_and_what_was_found(values: dict[str, Any], said: str) -> None:
    assert message(values).startswith(f"run.yaml: {said}")


@pytest.mark.parametrize("name", [1, 0, 1.5, True, False])
def test_class_names_that_yaml_reads_as_numbers_or_flags_want_quotes(name: object) -> None:
    said = message({"data": {"classes": ["cat", name]}})
    assert said == f"run.yaml: data.classes.1: expected text, found {name!r}; put it in quotes"


def test_all_errors_are_reported_at_once() -> None:
    values = {
        "train": {"epochs": 0, "epoch": 3, "workers": True},
        "optm": {},
        "model": {"image_size": 310},
        "data": {"train": [VOC, {"format": "voc", "rot": "a"}], "classes": [1, "b", False]},
    }
    first, *others = message(values).splitlines()
    assert first == "run.yaml has 10 errors:"
    keys = [line.strip().split(":")[0].split(" is ")[0] for line in others]
    assert sorted(keys) == [
        "data.classes.0",
        "data.classes.2",
        "data.train.1.root",
        "data.train.1.rot",
        "data.train.1.split",
        "model.image_size",
        "optm",
        "train.epoch",
        "train.epochs",
        "train.workers",
    ]
    assert all(line.startswith("  ") for line in others)


def test_errors_of_files_and_overrides_are_reported_together() -> None:
    said = message({"train": {"epochs": 0}}, "optim.lr=-1", "model.width_mult=3")
    assert said.splitlines()[0] == "run.yaml has 3 errors:"


def test_one_error_is_one_line() -> None:
    assert "\n" not in message({"train": {"epochs": 0}})
