"""A training that starts from weights: what is taken, chosen, left out, and kept."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close

from tests.formats.builders import write_coco
from tests.reference_model import randomise
from tests.runs import read_log, read_metrics, run_config, same_weights, scenes
from vision.config import Config, ModelConfig, config_from_dict, load_config
from vision.convert import load_initial_weights
from vision.engine import train
from vision.engine.distributed import SINGLE_PROCESS
from vision.engine.plan import make_plan
from vision.engine.recipe import Facts, choose_recipe
from vision.engine.run_folder import RunFolder
from vision.engine.step import train_step
from vision.engine.trainer import Trainer
from vision.errors import ConfigError, WeightsError
from vision.model import BACKBONES, MultiBoxLoss, build_model
from vision.model.loss import Losses
from vision.structures import Predictions, Target
from vision.weights import (
    SavedDetector,
    find_weights,
    interpolate,
    load_weights,
    match_network,
    save_weights,
    silence_classes,
    start_from,
)

pytestmark = pytest.mark.slow

NAMES = ["circle", "square", "star", "triangle"]
FP32 = {"precision": "fp32"}
"""Else bf16 on some CPUs, whose runs end otherwise."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that know the four shapes a little, of a network with sigmoid scores."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    values = {
        "model": {"preset": "tensorflow", "image_size": 128, "width_mult": 0.25},
        "data": {"train": scenes(32), "val": scenes(8, 1), "cache": str(folder.parent / "scenes")},
        "train": {"epochs": 10, "eval_every": 10, "batch_size": 8, "workers": 0, **FP32},
        "optim": {"lr": 0.1},
    }
    train(config_from_dict(values), folder)
    return folder


def finetuning(first: Path, *overrides: str, **data: Any) -> Config:  # noqa: ANN401
    """A run from those weights that sets nothing of the network."""
    values = {
        "model": {"init": str(first)},
        "data": {"train": scenes(8), "val": scenes(4, 1), **data},
        "train": {"epochs": 2, "batch_size": 4, "workers": 0, "eval_every": 1, **FP32},
        "optim": {"lr": 0.01},
    }
    return config_from_dict(values, overrides)


# The network is the weights'


@pytest.mark.parametrize(
    ("ours", "expected", "warned"),
    [
        ({}, {}, []),
        ({"image_size": 256}, {"image_size": (256, 256)}, []),
        ({"priors": {"min_scale": 0.1}}, {"min_scale": 0.1, "max_scale": 0.9}, ["priors"]),
        ({"priors": {"min_scale": 0.3}}, {}, []),
        ({"preset": "ssdlite"}, {"preset": "ssdlite"}, ["preset"]),
        ({"scores": "softmax"}, {"scores": "softmax"}, ["scores"]),
        ({"scores": "sigmoid"}, {"scores": "sigmoid"}, []),
        ({"activation": "relu6", "width_mult": 0.5}, {}, ["activation", "width_mult"]),
    ],
)
def test_keys_of_the_network_that_are_not_set_are_the_weights(
    tmp_path: Path, ours: dict[str, Any], expected: dict[str, Any], warned: list[str]
) -> None:
    theirs = {
        "preset": "tensorflow",
        "image_size": 160,
        "width_mult": 0.25,
        "activation": "relu",
        "priors": {"min_scale": 0.3, "max_scale": 0.9},
    }
    config = config_from_dict({"model": theirs})
    path = tmp_path / "w.safetensors"
    save_weights(path, build_model(config.model, 1), config, ["dog"], {})
    asked = config_from_dict({"model": ours}).model
    model, warnings = match_network(asked, load_initial_weights(str(path)))
    found = {**model.model_dump(), **model.priors.model_dump()}
    for key, value in {**config.model.model_dump(), **config.model.priors.model_dump()}.items():
        if key not in {*ours, *expected, "init", "priors", "postprocess"}:
            assert found[key] == value, key
    for key, value in expected.items():
        assert found[key] == value
    assert len(warnings) == len(warned)
    for key in warned:
        (line,) = [line for line in warnings if line.startswith(f"model.{key} is ")]
        assert line.endswith(f"leave model.{key} out to keep the weights' value")


def test_another_network_takes_the_backbone_alone(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    theirs = config_from_dict({"model": {"preset": "tensorflow", "width_mult": 0.25}})
    save_weights(path, build_model(theirs.model, 1), theirs, ["dog"], {})
    asked = ModelConfig.model_validate({"neck": "fpn"})
    model, warnings = match_network(asked, load_initial_weights(str(path)))
    assert (model.width_mult, model.preset, model.neck) == (0.25, "ssdlite", "fpn")
    assert [line.split()[0] for line in warnings] == ["model.neck"]


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ([], ["loss.assignment=tal"], "loss.assignment tal needs model.scores=sigmoid"),
        (["model.preset=tensorflow"], ["loss.assignment=tal"], None),
    ],
)
def test_the_loss_goes_with_what_the_weights_set(
    tmp_path: Path, theirs: Sequence[str], ours: Sequence[str], message: str | None
) -> None:
    """A loss that does not is refused before data are read."""
    saved = config_from_dict({"model": {"width_mult": 0.25}}, theirs)
    path = tmp_path / "w.safetensors"
    save_weights(path, build_model(saved.model, 1), saved, ["dog"], {})
    given = config_from_dict({"model": {"init": str(path)}, "data": {"train": scenes(8)}}, ours)
    folder = RunFolder(tmp_path / "run", resume=False)
    arguments = (given, folder, torch.device("cpu"), SINGLE_PROCESS)
    if message is None:
        plan = make_plan(*arguments, resume=False)
        assert plan.config.model.preset == "tensorflow"
        return
    with (
        patch("vision.engine.plan.read_sources", side_effect=AssertionError),
        pytest.raises(ConfigError, match=message),
    ):
        make_plan(*arguments, resume=False)


def test_a_run_takes_the_network_and_evaluates_the_start_first(
    first: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        train(finetuning(first, "train.interpolation=[0.5]"), tmp_path / "run")
    saved = load_weights(tmp_path / "run")
    assert saved.config.model.preset == "tensorflow"
    assert saved.config.model.image_size == (128, 128)
    rows = read_log(tmp_path / "run")
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    start, before = read_metrics(tmp_path / "run")["start"], load_weights(first)
    assert start["voc"]["mAP50"] == pytest.approx(float(rows[0]["voc.mAP50"]), rel=1e-4)
    first_weights = load_weights(tmp_path / "run" / "start.safetensors").model.state_dict()
    for key, value in before.model.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(first_weights[key], value), key
    best = read_metrics(tmp_path / "run")
    for metric in (("voc", "mAP50"), ("coco", "AP")):
        assert best[metric[0]][metric[1]] >= start[metric[0]][metric[1]]
    assert "mean of initial and final weights, 0.5 of the final ones: val voc.mAP50" in caplog.text
    assert "start -> best: voc.mAP50 0." in caplog.text
    assert "validation boxes are too few" in caplog.text


def test_where_training_only_loses_the_start_is_the_best(
    learnt: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = finetuning(learnt, "optim.lr=2", "optim.warmup_epochs=0", val=scenes(8))
    with caplog.at_level("INFO"):
        train(config, tmp_path)
    assert "training did not help: no later weights are better" in caplog.text
    assert same_weights(tmp_path / "best.safetensors", tmp_path / "start.safetensors")
    assert read_metrics(tmp_path)["epoch"] == 0


def test_a_resumed_finetuning_equals_an_unbroken_one_without_the_first_weights(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a new class too; network and recipe are those that the run began with."""
    weights = tmp_path / "w.safetensors"
    saved = load_weights(first)
    names = ["disc", *NAMES[1:]]
    save_weights(weights, saved.model, saved.config, names, {})
    words = (f"model.init={weights}", "train.recipe=auto", "train.interpolation=[0.5]")
    train(finetuning(first, *words, "optim.layer_decay=0.9"), tmp_path / "unbroken")
    steps = iter(range(100))

    def interrupted(*given: Any) -> Losses:  # noqa: ANN401
        if next(steps) == 3:
            raise KeyboardInterrupt
        return train_step(*given)

    with monkeypatch.context() as patch:
        patch.setattr("vision.engine.epoch.train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(finetuning(first, *words, "optim.layer_decay=0.9"), tmp_path / "broken")
    weights.unlink()
    train(finetuning(first, f"model.init={weights}"), tmp_path / "broken", resume=True)
    assert read_log(tmp_path / "broken") == read_log(tmp_path / "unbroken")
    for name in ("start", "last", "best"):
        assert same_weights(
            *(tmp_path / run / f"{name}.safetensors" for run in ("unbroken", "broken"))
        )
    configs = [load_config(tmp_path / run / "config.yaml") for run in ("broken", "unbroken")]
    assert configs[0] == configs[1]
    assert configs[0].optim.name == "adamw"


# What is known is kept


def test_new_classes_begin_near_the_known_ones_and_apart() -> None:
    """In a picture of nothing that COCO knows they fire no more than the known ones do."""
    saved = load_weights("coco")
    torch.manual_seed(0)
    model = build_model(saved.config.model, 3)
    start = start_from(model, saved, ["walrus", "dog", "narwhal"], "coco")
    assert start.known == ["dog"]
    images = torch.randint(0, 256, (1, 3, 300, 300), dtype=torch.uint8)
    with torch.no_grad():
        scores = model.eval()(images).logits[0, :, :3].sigmoid()
    assert scores.mean() < 0.02
    assert (scores[:, 0] - scores[:, 2]).abs().max() > 1e-4


def test_new_heads_of_sigmoids_are_no_flood() -> None:
    """From another layout of priors no class head is taken: scores begin at .01."""
    ours = ModelConfig(preset="tensorflow", image_size=(128, 128), width_mult=0.25)
    theirs = ModelConfig(neck="fpn", image_size=(128, 128), width_mult=0.25)
    saved = load_weights_of(theirs)
    model = build_model(ours, 2)
    start_from(model, saved, ["a", "b"], "w")
    biases = [value for key, value in model.state_dict().items() if key.endswith("_heads.0.1.bias")]
    assert_close(
        biases[0].view(-1, 3)[:, :2].sigmoid().max(), torch.tensor(0.01), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("neck", ["none", "fpn"])
def test_heads_can_start_at_random(neck: Literal["none", "fpn"]) -> None:
    """All else is the weights'; the scores of all classes begin near .01."""
    config = ModelConfig(neck=neck, image_size=(128, 128), width_mult=0.25, scores="sigmoid")
    saved, model = load_weights_of(config), build_model(config, 2)
    start_from(model, saved, ["a", "b"], "w", with_heads=False)
    heads = model.head_keys()
    for key, value in model.state_dict().items():
        is_taken = torch.equal(value, saved.model.state_dict()[key])
        assert is_taken != (key in heads) or "num_batches" in key or "pixel" in key, key
    scores = model.state_dict()["class_heads.0.1.bias"].view(-1, 3)[:, :2].sigmoid()
    assert_close(scores, torch.full_like(scores, 0.01), rtol=0, atol=1e-3)


def load_weights_of(config: ModelConfig) -> Any:  # noqa: ANN401
    """A detector with random weights, as if it were read from a file."""
    model = build_model(config, 2)
    randomise(model)
    return SavedDetector(model.eval(), Config(model=config), ["a", "b"], {})


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_mean_keeps_the_rows_of_new_classes_as_they_ended(backbone: str) -> None:
    values = {"backbone": backbone, "image_size": 128, "width_mult": 0.25}
    config = ModelConfig.model_validate(values)
    start, end = build_model(config, 2), build_model(config, 2)
    randomise(start)
    randomise(end)
    mean = interpolate(start, end, 0.25, [1])
    first, last = start.state_dict(), end.state_dict()
    key = "backbone.features.0.0.weight"
    assert_close(mean[key], 0.75 * first[key] + 0.25 * last[key])
    key = "class_heads.0.1.bias"
    rows = {name: tensors[key].view(-1, 3) for name, tensors in (("mean", mean), ("end", last))}
    assert torch.equal(rows["mean"][:, 1], rows["end"][:, 1])
    assert_close(rows["mean"][:, 0], 0.75 * first[key].view(-1, 3)[:, 0] + 0.25 * rows["end"][:, 0])


# Classes without a box


def boxless(tmp_path: Path, **categories: str) -> dict[str, Any]:
    """A COCO source of two images with a box of ``dog`` each, and further categories."""
    names = {"dog": "animal", **categories}
    content = {
        "images": [{"id": index, "file_name": f"{'ab'[index]}.jpg"} for index in range(2)],
        "categories": [
            {"id": index, "name": name, "supercategory": parent}
            for index, (name, parent) in enumerate(names.items())
        ],
        "annotations": [
            {"id": index, "image_id": index, "category_id": 0, "bbox": [10, 5, 20, 20]}
            for index in range(2)
        ],
    }
    write_coco(tmp_path / "data", content)
    return {"format": "coco", "root": str(tmp_path / "data"), "split": "train"}


@pytest.mark.parametrize(
    ("word", "names", "said"),
    [
        ("train.seed=0", ["dog"], "classes without a box are left out (name them in data.classes"),
        ("data.classes=[dog, walrus]", ["dog", "walrus"], "no boxes of: walrus"),
        ("data.classes=[star, dog]", ["star", "dog"], "no boxes of: star"),
    ],
)
def test_a_class_without_a_box_is_left_out_or_left_alone(
    first: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    word: str,
    names: list[str],
    said: str,
) -> None:
    """A known one keeps its row as it is; a new one is never found."""
    source = boxless(tmp_path, walrus="animal", animal="none")
    config = finetuning(first, word, train=source, val=source)
    with caplog.at_level("INFO"):
        train(config, tmp_path / "run")
    assert said in caplog.text
    assert "parent categories without a box left out: 1 (animal" in caplog.text
    saved = load_weights(tmp_path / "run" / "last.safetensors")
    assert saved.names == names
    after = saved.model.state_dict()["class_heads.0.1.bias"].view(-1, len(names) + 1)
    before = load_weights(first).model.state_dict()["class_heads.0.1.bias"].view(-1, 5)
    if "star" in names:
        assert torch.equal(after[:, 0], before[:, NAMES.index("star")])
    if "walrus" in names:
        assert after[:, 1].sigmoid().max() < 1e-4


@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
def test_a_class_without_a_box_does_not_raise_the_loss(scores: Any) -> None:  # noqa: ANN401
    torch.manual_seed(0)
    priors = torch.rand(20, 4) * 0.5 + 0.25
    boxes = torch.tensor([[10.0, 10.0, 60.0, 60.0]])
    target = Target(boxes, torch.tensor([0]), torch.zeros(1, dtype=torch.bool), "a", (100, 100))
    logits, offsets = torch.randn(1, 20, 3, requires_grad=True), torch.randn(1, 20, 4)
    without = MultiBoxLoss(priors, scores=scores)(
        Predictions(logits[..., [0, 2]], offsets), [target]
    )
    masked = MultiBoxLoss(priors, scores=scores, unlabelled_classes=[1])(
        Predictions(logits, offsets), [target]
    )
    assert_close(masked.classification, without.classification)
    (gradient,) = torch.autograd.grad(masked.classification, logits)
    assert not gradient[..., 1].any()
    assert gradient[..., 0].any()


def test_silenced_classes_are_never_found() -> None:
    model = build_model(ModelConfig(preset="tensorflow", image_size=(128, 128), width_mult=0.25), 3)
    randomise(model)
    silence_classes(model, [1])
    with torch.no_grad():
        logits = model.eval()(torch.randint(0, 256, (1, 3, 128, 128))).logits
    assert logits[..., 1].sigmoid().max() < 1e-4
    assert logits[..., 0].sigmoid().max() > 1e-2


# The recipe


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # 48 photographs of known classes; 150 of a new one; six new ones; crowded pictures.
        (
            Facts(48, 63, 2, 0, 2),
            {
                "optim.lr": 2e-4,
                "train.epochs": 8,
                "train.freeze_norms": True,
                "optim.layer_decay": 1.0,
                "train.workers": 0,
                "model.image_size": (320, 320),
            },
        ),
        (
            Facts(150, 385, 0, 1, 8),
            {
                "optim.lr": 8e-4,
                "train.epochs": 9,
                "train.freeze": 8,
                "optim.layer_decay": 0.85,
                "train.freeze_norms": False,
                "train.workers": 2,
                "augment.preset": "photometric",
            },
        ),
        (
            Facts(236, 423, 0, 6),
            {
                "train.epochs": 20,
                "train.freeze": 3,
                "model.image_size": (384, 384),
                "loss.assignment": "tal",
            },
        ),
        (
            Facts(205, 2900, 0, 3),
            {
                "train.epochs": 9,
                "augment.preset": "ssdlite",
                "model.image_size": (352, 352),
                "loss.assignment": "ssd",
            },
        ),
        (Facts(5000, 9000, 20, 0), {"train.epochs": 3, "train.batch_size": 16}),
        (Facts(1000, 2447, 0, 4), {"train.epochs": 9, "loss.assignment": "tal"}),
        (Facts(1000, 700, 0, 4), {"train.epochs": 9}),
        (Facts(1000, 2120, 0, 1), {"train.epochs": 3}),
        (
            Facts(3500, 8540, 0, 20),
            {
                "train.epochs": 9,
                "loss.assignment": "tal",
                "loss.classification": "quality",
                "loss.localisation": "giou",
            },
        ),
        (Facts(3500, 8540, 18, 2), {"train.epochs": 9, "loss.assignment": "ssd"}),
    ],
)
def test_a_recipe_is_chosen_for_the_data(facts: Facts, expected: dict[str, Any]) -> None:
    given = load_config("finetune", ["model.scores=sigmoid"])
    config, lines = choose_recipe(given, given, facts)
    for key, value in expected.items():
        section, name = key.split(".")
        assert getattr(getattr(config, section), name) == value, key
    assert lines[0].startswith(f"recipe for {facts.images} images")
    assert all(": " in line for line in lines[1:])


def test_a_recipe_fits_processes_and_parts() -> None:
    given = load_config("finetune", ["train.accumulate=3", "train.small.epochs=30"])
    config, _ = choose_recipe(given, given, Facts(236, 423, 0, 2, None, 2 * 3 * 2))
    assert (config.train.batch_size, config.train.epochs) == (12, 31)


@pytest.mark.parametrize("word", ["model.init=none", "model.width_mult=0.5"])
def test_without_weights_that_fit_there_is_no_recipe(
    first: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    word: str,
) -> None:
    """Which is decided before the first step."""
    monkeypatch.setattr(Trainer, "fit", lambda *_: None)
    with caplog.at_level("INFO"):
        words = ("train.recipe=auto", "model.image_size=128", "train.epochs=1", word)
        train(finetuning(first, *words), tmp_path)
    assert (
        "train.recipe=auto needs a detector's weights with the layers of this network"
        in caplog.text
    )
    assert load_config(tmp_path / "config.yaml").optim.name == "sgd"


def test_keys_that_are_set_are_not_chosen() -> None:
    given = load_config("finetune", ["optim.lr=0.5", "train.epochs=3", "model.image_size=128"])
    config, lines = choose_recipe(given, given, Facts(236, 423, 0, 6))
    assert (config.optim.lr, config.train.epochs, config.train.eval_every) == (0.5, 3, 3)
    assert config.model.image_size == (128, 128)
    assert not [line for line in lines if "optim.lr" in line or "image_size" in line]


@pytest.mark.parametrize(
    "word",
    [
        "loss.localisation=smooth_l1",
        "loss.assignment=ssd",
        "train.accumulate=2",
        "model.scores=null",
    ],
)
def test_a_loss_that_is_set_or_needed_is_kept(word: str) -> None:
    given = load_config("finetune", ["model.scores=sigmoid", word])
    config, _ = choose_recipe(given, given, Facts(3500, 8540, 0, 20))
    assert config.loss.assignment == "ssd"


def test_another_optimiser_keeps_its_own_rate_and_decay() -> None:
    given = load_config("finetune", ["optim.name=sgd"])
    config, _ = choose_recipe(given, given, Facts(150, 385, 0, 1))
    assert (config.optim.name, config.optim.lr, config.optim.weight_decay) == ("sgd", 0.05, 4e-5)
    assert config.train.epochs == 9


def test_a_run_writes_and_says_what_it_chose(
    first: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        train(finetuning(first, "train.recipe=auto", "train.epochs=1"), tmp_path)
    config = load_config(tmp_path / "config.yaml")
    assert (config.optim.name, config.optim.lr, config.train.batch_size) == ("adamw", 0.01, 4)
    assert "  optim.name=adamw: " in caplog.text
    assert "1 epoch of 2 steps of about" in caplog.text


# Names of weights, limits of a configuration, the log


def test_weights_go_by_name_by_file_or_by_run_folder(first: Path, tmp_path: Path) -> None:
    for name, count in (("coco", 80), ("voc", 20)):
        assert len(load_weights(name).names) == count
    assert find_weights(first) == first / "best.safetensors"
    assert find_weights(str(first / "last.safetensors")) == first / "last.safetensors"
    for nothing in (tmp_path, tmp_path / "nothing.safetensors", "cooc"):
        with pytest.raises(
            WeightsError, match=r"do not exist; (did you mean coco|name .* coco, voc)"
        ):
            find_weights(nothing)


def test_none_is_a_start_from_nothing() -> None:
    assert load_config("finetune", ["model.init=none"]).model.init is None


def test_batches_and_workers_are_no_more_than_there_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision.engine.plan.num_cores", lambda: 1)
    monkeypatch.setattr("vision.engine.plan.MIN_WORKERS", 0)
    monkeypatch.setattr(Trainer, "fit", lambda *_: None)
    words = ("train.batch_size=1000000000", "train.workers=1000", "train.epochs=1", "data.val=null")
    with caplog.at_level("INFO"):
        train(run_config(*words), tmp_path)
    assert "train.batch_size is 1000000000: lowered to 8 for the number of training images" in (
        caplog.text
    )
    assert "train.workers is 1000: lowered to 1 for the number of processor cores" in caplog.text
    assert load_config(tmp_path / "config.yaml").train.batch_size == 8


def test_each_epoch_leaves_a_point_and_a_row_of_few_digits(tmp_path: Path) -> None:
    train(run_config("train.eval_every=1"), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [2, 4]
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {"voc.mAP50", "coco.AP"} <= set(rows[0])
    assert all(
        len(value.lstrip("0.").replace(".", "").split("e")[0]) <= 6 for value in rows[0].values()
    )
