"""Configurations: what a run is by default, bases, overrides, and the way back to YAML."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from vision.config import (
    WIDTH_MULTS,
    CocoSource,
    Config,
    DataConfig,
    SyntheticSource,
    VocSource,
    config_from_dict,
    dump_config,
    files,
    find_config,
    load_config,
    shipped_configs,
)
from vision.config.yaml12 import parse_yaml
from vision.errors import ConfigError

VOC: dict[str, Any] = {"format": "voc", "root": "a", "split": "train"}


def write(folder: Path, **texts: str) -> Path:
    """YAML files of the given stems; the path of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder
    for stem, text in texts.items():
        path = folder / f"{stem}.yaml"
        path.write_text(text, encoding="utf-8")
    return path


# Names and defaults


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "train: {}", "null", "---\n"])
def test_an_empty_file_is_the_default_run(tmp_path: Path, text: str) -> None:
    assert load_config(write(tmp_path, empty=text)) == Config()


def test_names_and_defaults_that_scripts_rely_on() -> None:
    """Renaming one of these, or another default, would break runs and scripts of users."""
    model, train, optim = Config().model, Config().train, Config().optim
    assert (model.backbone, model.neck, model.image_size, model.width_mult, model.activation) == (
        "mobilenet_v2",
        "none",
        (320, 320),
        1.0,
        "relu6",
    )
    assert (model.priors.min_scale, model.priors.max_scale) == (0.2, 0.95)
    assert isinstance(model.postprocess.score_threshold, float)
    assert (train.device, train.seed, train.precision) == ("auto", 0, "auto")
    assert min(train.epochs, train.batch_size, train.workers, train.eval_every) >= 1
    assert optim.lr > 0
    assert (optim.name, optim.schedule, optim.backbone_lr) == ("sgd", "cosine", 1.0)
    # What makes a run other than the plain recipe is off.
    assert (train.accumulate, train.ema_decay, train.freeze) == (1, 0.0, 0)
    assert (train.patience, train.compile) == (None, "auto")
    assert {"lr", "momentum", "weight_decay", "clip_ratio", "warmup_epochs"} < set(
        type(optim).model_fields
    )
    assert Config().augment.preset == "ssdlite"
    assert Config().data == DataConfig(train=None, val=None, classes=None)
    assert WIDTH_MULTS == (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("model.backbone", "mobilenet_v3_large", "mobilenet_v3_large"),
        ("model.neck", "fpn", "fpn"),
        ("model.image_size", 300, (300, 300)),
        ("model.width_mult", 0.35, 0.35),
        ("model.priors.min_scale", 0.06, 0.06),
        ("model.priors.max_scale", 0.9, 0.9),
        ("model.postprocess.nms_iou", 0.45, 0.45),
        ("data.train", VOC, VocSource(format="voc", root="a", split="train")),
        ("data.val", [VOC], [VocSource(format="voc", root="a", split="train")]),
        (
            "data.val",
            {**VOC, "format": "coco", "annotations": "b", "images": "c"},
            CocoSource(format="coco", root="a", split="train", annotations="b", images="c"),
        ),
        (
            "data.train",
            {"format": "synthetic", "num_images": 3, "image_size": [64, 96]},
            SyntheticSource(format="synthetic", num_images=3, seed=0, image_size=(64, 96)),
        ),
        ("data.classes", ["no", "traffic light"], ["no", "traffic light"]),
        ("train.epochs", 3, 3),
        ("train.batch_size", 8, 8),
        ("train.workers", 0, 0),
        ("train.seed", 7, 7),
        ("train.device", "cuda:1", "cuda:1"),
        ("train.device", 1, "cuda:1"),
        ("train.device", "gpu", "cuda"),
        ("optim.lr", 0.01, 0.01),
        ("optim.momentum", 0, 0.0),
        ("optim.weight_decay", 5e-4, 5e-4),
        ("loss.negative_ratio", 4, 4.0),
        ("augment.preset", "none", "none"),
    ],
)
def test_keys_that_scripts_set(key: str, value: object, found: object) -> None:
    config = config_from_dict(nested(key, value))
    result: Any = config
    for step in key.split("."):
        result = getattr(result, step)
    assert result == found
    assert type(result) is type(found)
    assert config != Config()


def nested(key: str, value: object) -> dict[str, Any]:
    """``{"a": {"b": value}}`` for ``a.b``."""
    for step in reversed(key.split(".")):
        value = {step: value}
    assert isinstance(value, dict)
    return value


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().train.epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss.classification=quality"], "classification quality needs assignment tal"),
        (["loss.assignment=tal"], "loss.assignment tal needs model.scores=sigmoid"),
        (
            ["loss.assignment=tal", "model.init=coco", "model.preset=ssdlite"],
            "loss.assignment tal needs model.scores=sigmoid",
        ),
        (
            ["loss.assignment=tal", "model.preset=tensorflow", "train.accumulate=2"],
            "loss.assignment tal needs train.accumulate=1",
        ),
    ],
)
def test_parts_of_the_loss_and_network_that_do_not_go_together(
    words: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_dict({}, words)
    assert str(caught.value).endswith(f": {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", shipped_configs())
def test_each_shipped_configuration_is_sound(name: str) -> None:
    config = load_config(name)
    assert config.data.train is not None
    assert config.model.neck == ("fpn" if "_fpn" in name else "none")


# Finding


def test_finds_a_shipped_configuration_by_name_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped_configs()
    for name, path in shipped_configs().items():
        assert find_config(name) == path
        assert path.is_file()
        assert path.is_absolute()


def test_finds_a_path_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "deep", mine="train: {epochs: 3}")
    monkeypatch.chdir(tmp_path)
    for name in ("deep/mine.yaml", Path("deep/mine.yaml"), tmp_path / "deep" / "mine.yaml"):
        assert load_config(name).train.epochs == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "does not exist"),
        ("nowhere", "does not exist"),
        ("nowhere.yaml", "does not exist"),
        ("deep", "cannot be read: Is a directory"),
    ],
)
def test_an_unknown_configuration_is_answered_with_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=reason) as caught:
        load_config(name)
    assert name in str(caught.value)
    assert all(shipped in str(caught.value) for shipped in shipped_configs())
    assert "\n" not in str(caught.value)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of whose folder ``configs`` the tests dispose."""
    monkeypatch.setattr(files, "CONFIGS", tmp_path / "package" / "configs")
    write(tmp_path / "package" / "configs", base="train: {epochs: 7}", other="optim: {lr: 0.5}")
    return tmp_path


def test_an_installed_package_carries_its_configurations(shipped: Path) -> None:
    assert list(shipped_configs()) == ["base", "other"]
    assert load_config("base").train.epochs == 7


def test_a_file_of_the_name_goes_before_a_shipped_one(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shipped)
    (shipped / "base").write_text("train: {epochs: 9}", encoding="utf-8")
    assert load_config("base").train.epochs == 9
    assert load_config("base.yaml").train.epochs == 7
    write(shipped, base="train: {epochs: 8}")
    assert load_config("base.yaml").train.epochs == 8


def test_the_file_name_of_a_shipped_one_means_the_same(shipped: Path) -> None:
    assert find_config("base.yaml") == find_config("base")
    assert load_config(write(shipped, mine="_base_: base.yaml")).train.epochs == 7
    with pytest.raises(ConfigError, match=r"^configuration base\.yaml\.yaml does not exist"):
        find_config("base.yaml.yaml")


# Bases


def test_a_base_is_found_by_a_shipped_name(shipped: Path) -> None:
    config = load_config(write(shipped, mine="_base_: base\noptim: {lr: 0.25}"))
    assert (config.train.epochs, config.optim.lr) == (7, 0.25)


def test_a_base_is_found_from_the_folder_of_the_file_that_names_it(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also against a file of the same name in the working folder, and a shipped one."""
    write(shipped / "mine" / "deeper", base="train: {epochs: 5}")
    path = write(shipped / "mine", top="_base_: deeper/base.yaml")
    write(shipped / "elsewhere" / "deeper", base="train: {epochs: 6}")
    monkeypatch.chdir(shipped / "elsewhere")
    assert load_config(path).train.epochs == 5
    assert load_config("../mine/top.yaml").train.epochs == 5


def test_mappings_merge_and_lists_replace(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        base="""
data: {train: [{format: voc, root: a, split: s}, {format: voc, root: b, split: s}]}
model: {image_size: [320, 640], priors: {min_scale: 0.1, max_scale: 0.9}}
train: {epochs: 5, seed: 1}
""",
        top="""
_base_: base.yaml
data: {train: [{format: voc, root: c, split: s}], classes: [x]}
model: {priors: {min_scale: 0.15}}
train: {seed: 2}
""",
    )
    config = load_config(path)
    assert config.data.train == [VocSource(format="voc", root="c", split="s")]
    assert config.data.classes == ["x"]
    assert config.model.image_size == (320, 640)
    assert (config.model.priors.min_scale, config.model.priors.max_scale) == (0.15, 0.9)
    assert (config.train.epochs, config.train.seed) == (5, 2)


def test_bases_chain(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        a="train: {epochs: 1, seed: 1, workers: 1}",
        b="_base_: a.yaml\ntrain: {epochs: 2, seed: 2}",
        c="_base_: b.yaml\ntrain: {epochs: 3}",
    )
    train = load_config(path).train
    assert (train.epochs, train.seed, train.workers) == (3, 2, 1)


@pytest.mark.parametrize(
    ("bases", "epochs", "seed"),
    [("[]", 100, 0), ("[a.yaml]", 1, 1), ("[a.yaml, b.yaml]", 2, 1), ("[b.yaml, a.yaml]", 1, 1)],
)
def test_of_several_bases_the_later_goes_first(
    tmp_path: Path, bases: str, epochs: int, seed: int
) -> None:
    path = write(
        tmp_path, a="train: {epochs: 1, seed: 1}", b="train: {epochs: 2}", c=f"_base_: {bases}"
    )
    train = load_config(path).train
    assert (train.epochs, train.seed) == (epochs, seed)


def test_two_bases_may_share_one(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        root="train: {epochs: 1}",
        a="_base_: root.yaml\ntrain: {seed: 1}",
        b="_base_: root.yaml\ntrain: {workers: 1}",
        top="_base_: [a.yaml, b.yaml]",
    )
    train = load_config(path).train
    assert (train.epochs, train.seed, train.workers) == (1, 1, 1)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"a": "_base_: a.yaml"}, "a.yaml: _base_ leads back"),
        ({"b": "_base_: a.yaml", "a": "_base_: ./b.yaml"}, "a.yaml: _base_ leads back"),
        ({"a": "_base_: nowhere.yaml"}, "configuration nowhere.yaml does not exist"),
        ({"a": "_base_: [1]"}, "a.yaml: _base_ is a file name or a list of them, not 1"),
        ({"a": "_base_: 3"}, "a.yaml: _base_ is a file name or a list of them, not 3"),
        ({"a": "_base_: null"}, "a.yaml: _base_ is a file name or a list of them, not None"),
        ({"a": "_base_: {b: c}"}, "a.yaml: _base_ is a file name or a list of them, not {"),
        ({"b": "a: [", "a": "_base_: b.yaml"}, "b.yaml is not YAML"),
        ({"a": "[1, 2]"}, "a.yaml: expected keys and values, found list"),
        ({"a": "word"}, "a.yaml: expected keys and values, found str"),
        ({"a": "train: 1\ntrain: 2"}, "a.yaml is not YAML: key 'train' is given twice .* line 2"),
        ({"a": "train: !!int x"}, "a.yaml is not YAML"),
    ],
)
def test_refuses_files(tmp_path: Path, texts: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(write(tmp_path, **texts))
    assert "\n" not in str(caught.value)


def test_refuses_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"train: \xff\xfe")
    with pytest.raises(ConfigError, match=r"a\.yaml cannot be read: it is not UTF-8 text"):
        load_config(path)


# Overrides


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs=3", {"train": {"epochs": 3}}),
        (" train.epochs = 3", {"train": {"epochs": 3}}),
        ("train.epochs=3 # few", {"train": {"epochs": 3}}),
        ("optim.lr=1e-3", {"optim": {"lr": 1e-3}}),
        ("model.priors.min_scale=.1", {"model": {"priors": {"min_scale": 0.1}}}),
        ("model.priors={min_scale: 0.1}", {"model": {"priors": {"min_scale": 0.1}}}),
        ("model.image_size=[320, 640]", {"model": {"image_size": (320, 640)}}),
        ("data.classes=null", {"data": {"classes": None}}),
        ("data.classes=", {"data": {"classes": None}}),
        ('data.classes=[a, "b c"]', {"data": {"classes": ["a", "b c"]}}),
        ("data.classes=[no, on, 1:30]", {"data": {"classes": ["no", "on", "1:30"]}}),
        ("data.classes=['7', 'true']", {"data": {"classes": ["7", "true"]}}),
        ("data.train={format: voc, root: a, split: train}", {"data": {"train": VOC}}),
        ("data.train=[{format: voc, root: a, split: train}]", {"data": {"train": [VOC]}}),
        ("train.device=cuda:1", {"train": {"device": "cuda:1"}}),
    ],
)
def test_overrides_are_yaml(override: str, expected: dict[str, Any]) -> None:
    assert config_from_dict({}, [override]) == config_from_dict(expected)


def test_values_may_hold_equals_signs() -> None:
    config = config_from_dict({"data": {"train": VOC}}, ["data.train.root=/data/a=b"])
    assert isinstance(config.data.train, VocSource)
    assert config.data.train.root == "/data/a=b"


def test_overrides_make_what_is_absent_and_the_later_goes_first() -> None:
    config = config_from_dict(
        {"data": None},
        [
            "data.train.format=voc",
            "data.train.root=x",
            "data.train.split=s",
            "train.seed=1",
            "train.seed=2",
        ],
    )
    assert config.data.train == VocSource(format="voc", root="x", split="s")
    assert config.train.seed == 2


def test_overrides_go_before_the_file_and_its_bases(tmp_path: Path) -> None:
    path = write(tmp_path, a="train: {epochs: 1}", b="_base_: a.yaml\ntrain: {epochs: 2}")
    assert load_config(path, ["train.epochs=3"]).train.epochs == 3


def two_sources() -> dict[str, Any]:
    return {"data": {"train": [dict(VOC), {**VOC, "root": "b"}], "classes": ["cat"]}}


@pytest.mark.parametrize(
    ("override", "roots"),
    [
        ("data.train.0.root=x", ["x", "b"]),
        ("data.train.1.root=x", ["a", "x"]),
        ("data.train.1={format: voc, root: x, split: s}", ["a", "x"]),
    ],
)
def test_overrides_reach_into_lists_by_index(override: str, roots: list[str]) -> None:
    sources = config_from_dict(two_sources(), [override]).data.train
    assert isinstance(sources, list)
    assert [source.root for source in sources if isinstance(source, VocSource)] == roots


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("", "expected key=value, such as train.epochs=50"),
        ("train.epochs", "^override train.epochs: expected key=value"),
        ("=3", "expected key=value"),
        (" =3", "expected key=value"),
        ("train..epochs=3", "a part of the dotted key is empty"),
        (".train=3", "a part of the dotted key is empty"),
        ("train.=3", "a part of the dotted key is empty"),
        ("train.epochs=[", r"the value is not YAML \(expected the node content"),
        ("train.epochs=a: b: c", "the value is not YAML"),
        ("train.epochs=!!int x", "the value is not YAML"),
        ("train={seed: 1, seed: 2}", "the value is not YAML .*given twice"),
        (
            "data.train.root=x",
            r"^override \S+=x: data\.train is a list of 2; name an item by its.*train\.0",
        ),
        (
            "data.train.format=coco",
            r"of 2; .* such as data\.train\.0, or replace the whole list: data\.train=\{\.{3}\}$",
        ),
        ("data.classes.x=dog", r"list of 1; .* replace the whole list: data\.classes=\[\.{3}\]$"),
        ("data.train.2.root=x", "is a list of 2"),
        ("data.train.2=x", "is a list of 2"),
        ("data.train.-1.root=x", "is a list of 2"),
        ("data.train.².root=x", "is a list of 2"),
        ("data.train.0.root.x=1", r"data\.train\.0\.root is 'a' and has no keys"),
        ("data.train.0.root.x.y=1", r"data\.train\.0\.root is 'a' and has no keys"),
    ],
)
def test_refuses_overrides(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        config_from_dict(two_sources(), [override])
    assert "\n" not in str(caught.value)


def test_an_override_of_an_alias_leaves_its_anchor_alone(tmp_path: Path) -> None:
    """YAML's ``*name`` is the very object of ``&name``: a change to one would be one to both."""
    text = "data: {train: &a {format: voc, root: a, split: train}, val: *a}"
    data = load_config(write(tmp_path, a=text), ["data.val.split=val"]).data
    assert data.train == VocSource(format="voc", root="a", split="train")
    assert data.val == VocSource(format="voc", root="a", split="val")
    lists = "data: {train: &a [{format: voc, root: a, split: train}], val: *a}"
    data = load_config(write(tmp_path, b=lists), ["data.val.0.split=val"]).data
    assert data.train == [VocSource(format="voc", root="a", split="train")]
    over = write(tmp_path, c="_base_: a.yaml\ndata: {val: {split: test}}")
    assert load_config(over).data.train == VocSource(format="voc", root="a", split="train")


def test_overrides_leave_the_given_values_alone() -> None:
    values = {**two_sources(), "train": {"epochs": 3}}
    before = copy.deepcopy(values)
    config_from_dict(values, ["train.epochs=4", "data.train.0.root=x", "optim.lr=1", "data.val="])
    assert values == before


# Checks


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.epochs", True),
        ("train.epochs", "3"),
        ("train.epochs", 3.0),
        ("train.epochs", 0),
        ("train.epochs", None),
        ("train.batch_size", 1),
        ("train.workers", -1),
        ("train.seed", -1),
        ("train.device", True),
        ("train.precision", "fp8"),
        ("optim.lr", "1e-3"),
        ("optim.lr", True),
        ("optim.lr", 0),
        ("optim.lr", float("inf")),
        ("optim.lr", float("nan")),
        ("optim.momentum", 1),
        ("optim.warmup_epochs", float("inf")),
        ("loss.negative_ratio", float("inf")),
        ("model.priors.min_scale", 0),
        ("model.priors.max_scale", 1.01),
        ("model.priors.max_scale", float("nan")),
        ("model.priors", {"min_scale": 0.5, "max_scale": 0.5}),
        ("model.width_mult", 0.6),
        ("model.width_mult", "1.0"),
        ("model.backbone", "resnet"),
        ("model.neck", "bifpn"),
        ("model.activation", "swish"),
        ("augment.preset", None),
        ("augment.preset", "no"),
        ("data.classes", []),
        ("data.classes", "cat"),
        ("data.classes", ["a", "b", "a"]),
        ("data.train", "voc"),
        ("data.train", {}),
        ("data.train", {**VOC, "format": "pascal"}),
        ("data.train", {"format": "synthetic", "num_images": 0}),
    ],
)
def test_refuses_values(key: str, value: object) -> None:
    """No conversions: a flag is no number, text is no number, a fraction is no whole number."""
    with pytest.raises(ConfigError) as caught:
        config_from_dict(nested(key, value), where="run.yaml")
    assert str(caught.value).startswith(f"run.yaml: {key}")
    assert "\n" not in str(caught.value)


BEYOND = 10**23
COUNTS = (
    *("epochs", "batch_size", "accumulate", "workers", "seed", "eval_every", "patience", "freeze"),
    *("keep_states", "log_every", "save_minutes", "small.epochs"),
)


@pytest.mark.parametrize(
    "key",
    [
        *(f"train.{name}" for name in COUNTS),
        *(f"optim.{name}" for name in ("lr", "backbone_lr", "weight_decay", "warmup_epochs")),
        *("loss.min_negatives", "loss.negative_ratio", "optim.clip_ratio"),
        *(f"model.postprocess.max_{name}" for name in ("candidates", "per_class", "detections")),
        *(f"data.train.{name}" for name in ("seed", "num_images", "image_size")),
    ],
)
def test_numbers_have_an_upper_end(key: str) -> None:
    source = "data.train={format: synthetic, num_images: 8}"
    with pytest.raises(ConfigError, match=rf"{key}={BEYOND}"):
        config_from_dict({}, [source, f"{key}={BEYOND}"])


@pytest.mark.parametrize("size", [1, 0, -5, 31, 4097, 100_000])
def test_scenes_have_sides_that_can_be_drawn(size: int) -> None:
    source = f"data.train={{format: synthetic, num_images: 8, image_size: {size}}}"
    with pytest.raises(ConfigError, match="a side must be from 32 to 4096 pixels, not "):
        config_from_dict({}, [source])


@pytest.mark.parametrize("value", [1, 3])
def test_a_whole_number_will_do_for_any_number(value: int) -> None:
    lr = config_from_dict({"optim": {"lr": value}}).optim.lr
    assert (lr, type(lr)) == (value, float)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (128, (128, 128)),
        (300, (300, 300)),
        (320, (320, 320)),
        (640, (640, 640)),
        ([320, 640], (320, 640)),
        ([300, 352], (300, 352)),
        ((128, 640), (128, 640)),
    ],
)
def test_image_sizes(size: object, expected: tuple[int, int]) -> None:
    assert config_from_dict({"model": {"image_size": size}}).model.image_size == expected


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (None, "one whole number or"),
        ([], "one whole number or"),
        ([320], "one whole number or"),
        ([320, 320, 3], "one whole number or"),
        (320.0, "one whole number or"),
        ("320", "one whole number or"),
        (True, "one whole number or"),
        ({"height": 320, "width": 320}, "one whole number or"),
        ([320, True], r"\.1: "),
        ([320.0, 320], r"\.0: "),
        (0, "0 is neither a multiple of 32 from 128 to 640 nor 300"),
        (-320, "-320 is neither"),
        (96, "96 is neither"),
        (310, "310 is neither"),
        (336, "336 is neither"),
        (672, "672 is neither"),
        ([320, 301], "301 is neither"),
    ],
)
def test_refuses_image_sizes(size: object, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^a: model\.image_size.*{said}"):
        config_from_dict({"model": {"image_size": size}}, where="a")


# There and back


NAMES = st.lists(st.text(max_size=30), min_size=1, max_size=5, unique=True)


@given(NAMES)
@example(["no", "1e-3", "null", "a: b", "é", "traffic light", "#x", ""])
@example(["1", "true", "~", "- a", "[a]", "*a", "&a", "!a", "%a", "@a", "`a", "a\n\nb", " a "])
def test_what_is_dumped_loads_as_the_same_configuration(names: list[str]) -> None:
    config = config_from_dict({"data": {"classes": names, "train": {**VOC, "root": names[0]}}})
    assert config_from_dict(parse_yaml(dump_config(config))) == config


@given(st.floats(1e-12, 1e6), st.floats(1e-9, 0.4), st.integers(0, 2**32 - 1))
@example(1e-5, 0.06, 0)
def test_numbers_are_dumped_exactly(lr: float, scale: float, seed: int) -> None:
    config = config_from_dict(
        {"optim": {"lr": lr}, "train": {"seed": seed}, "model": {"priors": {"min_scale": scale}}}
    )
    assert config_from_dict(parse_yaml(dump_config(config))) == config


def test_a_dump_is_a_file_that_loads(tmp_path: Path) -> None:
    config = config_from_dict(
        {
            "data": {
                "train": [VOC, {"format": "synthetic", "num_images": 3}],
                "val": {**VOC, "format": "coco", "images": "über"},
                "classes": ["no", "on"],
            },
            "model": {"image_size": [128, 640]},
        }
    )
    path = write(tmp_path, dumped=dump_config(config))
    assert load_config(path) == config
    assert "_base_" not in path.read_text(encoding="utf-8")
