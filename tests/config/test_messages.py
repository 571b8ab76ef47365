"""What a user reads whose configuration is wrong: every error, where it is, and what was meant."""

from typing import Any

import pytest

from vision.config import config_from_dict
from vision.errors import ConfigError

VOC: dict[str, Any] = {"format": "voc", "root": "a", "split": "s"}


def message(values: dict[Any, Any], *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config_from_dict(values, overrides, "run.yaml")
    return str(caught.value)


UNKNOWN: list[tuple[dict[Any, Any], str]] = [
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
    ({"augment": {"qqq": 1}}, "augment.qqq is not a key; there is preset"),
    # A key of another format's source.
    (
        {"data": {"val": {"format": "synthetic", "num_images": 1, "zroot": "a"}}},
        "data.val.zroot is not a key; there are format, image_size, num_images, seed",
    ),
    ({"train": {1: 2}}, "train.1: keys should be strings, found 1"),
    ({None: 1}, "the configuration: keys should be strings, found None"),
]


@pytest.mark.parametrize(("values", "said"), UNKNOWN)
def test_unknown_keys_get_a_did_you_mean(values: dict[Any, Any], said: str) -> None:
    assert message(values) == f"run.yaml: {said}"


def test_an_unknown_override_gets_a_did_you_mean() -> None:
    assert message({}, "train.epocs=3").endswith("did you mean train.epochs?")
    said = "data.train.0.rot is not a key; did you mean data.train.0.root?"
    told = message({"data": {"train": [VOC]}}, "data.train.0.rot=x")
    assert told == f"override data.train.0.rot=x: {said}"


def test_never_suggests_the_refused_key_itself() -> None:
    """``num_images`` is a key of drawn data, not of VOC's."""
    said = message({"data": {"train": {**VOC, "num_images": 3}}})
    assert said.startswith("run.yaml: data.train.num_images is not a key")
    assert said.count("num_images") == 1


VALUES: list[tuple[dict[str, Any], str]] = [
    ({"data": {"train": {}}}, "data.train.format is missing; it is one of voc, coco, "),
    (
        {"data": {"train": {"root": "a"}}},
        "data.train.format is missing; it is one of voc, coco, ",
    ),
    ({"data": {"val": [VOC, {}]}}, "data.val.1.format is missing; it is one of voc, coco, "),
    (
        {"data": {"train": {**VOC, "format": "pascal"}}},
        (
            "data.train.format: expected 'voc', 'coco', 'yolo', 'open_images', 'image_folder',"
            " 'webdataset', 'auto', 'synthetic', found 'pascal'"
        ),
    ),
    (
        {"data": {"train": {"format": "voc", "root": "a"}}},
        "data.train: split is missing; give root",
    ),
    ({"data": {"val": [{"format": "coco", "split": "a"}]}}, "data.val.0: root is missing; give ro"),
    ({"data": {"val": {"format": "synthetic"}}}, "data.val.num_images is missing"),
    ({"data": {"train": 3}}, "data.train: expected keys and values, found 3"),
    ({"data": {"train": [3]}}, "data.train.0: expected keys and values, found 3"),
    (
        {"data": {"train": {**VOC, "root": 7}}},
        "data.train.root: expected text, found 7; put it in q",
    ),
    ({"model": 3}, "model: expected keys and values, found 3"),
    ({"train": None}, "train: expected keys and values, found None"),
    ({"train": {"epochs": "3"}}, "train.epochs: input should be a valid integer, found '3'"),
    ({"train": {"seed": {"a": 1}}}, "train.seed: input should be a valid integer, found {'a': 1"),
    ({"data": {"cache": 0}}, "data.cache: expected text, found 0; put it in quotes"),
    ({"augment": {"preset": "sdd"}}, "augment.preset: input should be 'none', 'photometric', 'ss"),
    ({"model": {"width_mult": 0.6}}, "model.width_mult: expected one of 0.25, 0.35, 0.5, 0.75, 1."),
    (
        {"model": {"priors": {"min_scale": 0.9, "max_scale": 0.5}}},
        "model.priors: min_scale 0.9 is not below max_scale 0.5",
    ),
    ({"data": {"classes": []}}, "data.classes: expected class names, or null for all classes of"),
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
        "data": {
            "train": [VOC, {**VOC, "rot": "a"}, {"format": "voc"}],
            "classes": [1, "b", False],
        },
    }
    first, *others = message(values).splitlines()
    assert first == "run.yaml has 9 errors:"
    keys = [line.strip().split(":")[0].split(" is ")[0] for line in others]
    assert sorted(keys) == [
        "data.classes.0",
        "data.classes.2",
        "data.train.1.rot",
        "data.train.2",
        "model.image_size",
        "optm",
        "train.epoch",
        "train.epochs",
        "train.workers",
    ]
    assert all(line.startswith("  ") for line in others)


def test_one_error_is_one_line() -> None:
    assert "\n" not in message({"train": {"epochs": 0}})


def test_what_a_section_finds_fault_with_is_not_followed_by_all_its_values() -> None:
    said = message({"model": {"priors": {"min_scale": 0.9, "max_scale": 0.5}}})
    assert said == "run.yaml: model.priors: min_scale 0.9 is not below max_scale 0.5"


# Overrides


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["train.epochs=-1"],
            "override train.epochs=-1: input should be greater than or equal to 1, found -1",
        ),
        ([" data.cache = 0 "], "override data.cache = 0: expected text, found 0; put it in"),
        (
            ["train.epocs=3"],
            "override train.epocs=3: train.epocs is not a key; did you mean train.e",
        ),
        (["train={epochs: 0}"], "override train={epochs: 0}: train.epochs: input should be greate"),
        (["data.classes=[a,\n 1]"], "override data.classes=[a, 1]: data.classes.1: expected text"),
        # Of several, the last that set the key.
        (["train.epochs=3", "train.seed=1", "train.epochs=0"], "override train.epochs=0: input"),
        (["train.epochs=0", "train={epochs: -1}"], "override train={epochs: -1}: train.epochs: "),
        (
            ["train.epochs=0", "train.epochs_=3"],
            "the overrides have 2 errors:\n  override train.ep",
        ),
        # What no key alone is to blame for.
        (
            ["train.seed=1", "model.priors.min_scale=0.99"],
            "override model.priors.min_scale=0.99: model.priors: min_scale 0.99 is not below max_s",
        ),
        (
            ["model.priors.min_scale=0.6", "model.priors.max_scale=0.5"],
            "overrides model.priors.min_scale=0.6, model.priors.max_scale=0.5: model.priors: min_s",
        ),
        (
            ["data.train.root=a"],
            "override data.train.root=a: data.train.format is missing; it is one of voc, coco, ",
        ),
        (
            ["data.train.format=pascal"],
            "override data.train.format=pascal: expected 'voc', 'coco', 'yo",
        ),
        (
            ["data.val.format=synthetic"],
            "override data.val.format=synthetic: data.val.num_images is missing",
        ),
        (
            ["train.small.epochs=7", "train.epochs=7"],
            "overrides train.small.epochs=7, train.epochs=7: the configuration: train.small.epochs",
        ),
    ],
)
def test_an_override_is_named_for_its_error(overrides: list[str], said: str) -> None:
    assert message({}, *overrides).startswith(said)


def test_each_error_of_files_and_overrides_says_where_it_is_from() -> None:
    values = {"train": {"epochs": 0}, "model": {"priors": {"min_scale": 0.97}}}
    said = message(values, "optim.lr=-1", "model.priors.max_scale=0.5")
    assert said.splitlines() == [
        "run.yaml with its overrides has 3 errors:",
        "  run.yaml: model.priors: min_scale 0.97 is not below max_scale 0.5",
        "  run.yaml: train.epochs: input should be greater than or equal to 1, found 0",
        "  override optim.lr=-1: input should be greater than 0, found -1",
    ]


def test_a_section_that_only_overrides_spoil_names_them_though_the_file_has_another_error() -> None:
    said = message({"optim": {"lr": -1}}, "train.seed=1", "model.priors.max_scale=0.1")
    _, of_override, of_file = said.splitlines()
    assert of_override.startswith("  override model.priors.max_scale=0.1: model.priors: min_scale ")
    assert of_file == "  run.yaml: optim.lr: input should be greater than 0, found -1"


def test_an_error_of_the_file_alone_does_not_name_the_overrides() -> None:
    said = message({"train": {"epochs": 0}}, "optim.lr=1", "train.seed=1")
    assert said.startswith("run.yaml: train.epochs: ")
    assert said.endswith(", found 0")


def test_a_value_that_aliases_make_endless_is_shortened() -> None:
    """Nine levels of ten references are a billion items."""
    value: Any = "x"
    for _ in range(9):
        value = [value] * 10
    for values in ({"model": {"init": value}}, {"train": value}, {"train": {"epochs": value}}):
        assert len(message(values)) < 1000
    assert len(message({"model": {"init": ["x" * 10**6]}})) < 1000


def test_many_errors_are_the_first_and_a_count() -> None:
    said = message({"k" * 1000 + str(number): 1 for number in range(300)})
    assert "has 21 errors" not in said
    assert said.startswith("run.yaml has 300 errors:")
    assert said.endswith("and 280 more errors")
    assert len(said) < 20_000
