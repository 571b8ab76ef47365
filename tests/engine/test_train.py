"""Training: it learns, the same each time, and goes on where it was interrupted."""

import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from tests.formats.builders import voc_object, voc_xml, write_voc
from tests.reference_model import randomise
from tests.runs import (
    ALIGNED,
    contents,
    forking,
    read_log,
    resume_on_one_thread,
    run_config,
    same_weights,
)
from vision.data import read_sources
from vision.engine import train
from vision.engine.build import build_run
from vision.engine.checkpoint import Checkpoints
from vision.engine.plan import Plan
from vision.engine.step import train_step
from vision.errors import ConfigError, DataError, Interrupted, TrainingError
from vision.model import BACKBONES, MultiBoxLoss, build_model
from vision.model.loss import Losses
from vision.structures import Batch, Predictions, Target
from vision.weights import load_weights

pytestmark = pytest.mark.slow

STATE = "states/step-000000002.pt"
STEPS = 2
"""Steps of an epoch of `run_config`."""

SMALL = ("train.small.epochs=1", "train.small.image_size=[128, 192]")
RESUMED = ("train.epochs=3", "train.eval_every=2")
EVALUATED = ("data.val.num_images=3",)
NOT_EVALUATED = ("data.val=null", "train.tensorboard=false")
ONE_EPOCH = ("train.epochs=1", "data.val=null")


def at_step(
    monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[Predictions], Predictions]
) -> None:
    """Let ``act`` change, or stop, what the loss sees of one step, counted from 1."""
    forward, steps = MultiBoxLoss.forward, iter(range(1, 1000))

    def patched(
        self: MultiBoxLoss,
        predictions: Predictions,
        targets: Sequence[Target],
        *rest: Tensor | None,
    ) -> Losses:
        if next(steps) == number:
            predictions = act(predictions)
        return forward(self, predictions, targets, *rest)

    monkeypatch.setattr(MultiBoxLoss, "forward", patched)


def test_learns_eight_scenes_by_heart(learnt: Path) -> None:
    metrics = json.loads((learnt / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["num_images"] == 8
    assert metrics["voc"]["mAP50"] >= 0.95
    losses = [float(row["loss"]) for row in read_log(learnt)]
    assert losses[-1] < losses[0] / 10


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to compare others with."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    train(run_config("data.val=null"), folder)
    return folder


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "one_epoch"
    train(run_config(*ONE_EPOCH), folder)
    return folder


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that gives the run of some overrides, made once whatever the workers."""
    runs: dict[tuple[str, ...], Path] = {}

    def make(*overrides: str) -> Path:
        key = tuple(word for word in overrides if not word.startswith("train.workers"))
        if key not in runs:
            runs[key] = tmp_path_factory.mktemp("runs") / "unbroken"
            train(run_config(*key), runs[key])
        return runs[key]

    return make


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_seed_gives_the_same_run_whatever_the_number_of_workers(
    first: Path, tmp_path: Path, workers: int
) -> None:
    train(run_config("data.val=null", f"train.workers={workers}"), tmp_path)
    assert read_log(tmp_path) == read_log(first)
    assert same_weights(tmp_path / "last.safetensors", first / "last.safetensors")


def test_another_seed_gives_another_run(first: Path, tmp_path: Path) -> None:
    train(run_config("data.val=null", "train.seed=1", "train.epochs=1"), tmp_path)
    assert read_log(tmp_path)[0]["loss"] != read_log(first)[0]["loss"]


@pytest.mark.parametrize("network", [(), ALIGNED])
def test_a_resumed_run_equals_an_unbroken_one(
    unbroken: Callable[..., Path],
    tmp_path: Path,
    network: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Interrupted within the second epoch: the steps since the last checkpoint must not count."""

    def interrupt(_: Predictions) -> Predictions:
        raise KeyboardInterrupt

    config, expected, broken = (
        run_config(*RESUMED, *EVALUATED, *network),
        unbroken(*RESUMED, *EVALUATED, *network),
        tmp_path / "broken",
    )
    with monkeypatch.context() as patch:
        at_step(patch, STEPS + 2, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, broken)
    assert [row["epoch"] for row in read_log(broken)] == ["1"]
    with caplog.at_level("INFO"):
        train(config, broken, resume=True)
    assert "resuming after epoch 1 and 0 steps" in caplog.text
    assert [row["epoch"] for row in read_log(broken)] == ["1", "2", "3"]
    assert read_log(broken) == read_log(expected)
    for name in ("last.safetensors", "best.safetensors"):
        assert same_weights(broken / name, expected / name)
    files, found = contents(expected), contents(broken)
    for name in ("config.yaml", "metrics.json", "curves.png"):
        assert found[name] == files[name]
    for name in files:
        assert name in found or name.startswith("tensorboard/")
        assert found.get(name) == files[name] or not name.startswith("pictures/")


@pytest.mark.parametrize(
    ("step", "overrides"),
    [
        (STEPS, EVALUATED),
        (STEPS + 1, (*EVALUATED, "train.ema_decay=0.9", "optim.name=adamw", "optim.lr=0.001")),
        (
            2 * STEPS,
            ("train.accumulate=2", "optim.schedule=multistep", "train.freeze=3", *NOT_EVALUATED),
        ),
        (
            STEPS + 1,
            (
                "train.workers=2",
                "optim.backbone_lr=0.1",
                "augment.preset=ssd",
                *NOT_EVALUATED,
            ),
        ),
        (1, ("model.image_size=[160, 192]", *SMALL, "train.workers=1", *NOT_EVALUATED)),
    ],
)
def test_a_signal_saves_after_the_step_and_the_rest_is_as_if_unbroken(
    unbroken: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    overrides: tuple[str, ...],
) -> None:
    def terminate(predictions: Predictions) -> Predictions:
        for child in multiprocessing.active_children():
            assert child.pid is not None
            os.kill(child.pid, signal.SIGTERM)  # a cluster tells all processes of a job
        os.kill(os.getpid(), signal.SIGTERM)
        return predictions

    config, expected, broken = (
        run_config(*RESUMED, *overrides),
        unbroken(*RESUMED, *overrides),
        tmp_path / "broken",
    )
    with monkeypatch.context() as patch:
        at_step(patch, (step - 1) * config.train.accumulate + 1, terminate)
        with pytest.raises(Interrupted) as caught:
            train(config, broken)
    assert caught.value.number == signal.SIGTERM
    states = [path.name for path in (broken / "states").iterdir()]
    assert f"step-{step:09d}.pt" in states
    train(config, broken, resume=True)
    assert read_log(broken) == read_log(expected)
    for name in ("last.safetensors", "best.safetensors"):
        assert same_weights(broken / name, expected / name)
    if config.data.val is not None:
        assert (broken / "metrics.json").read_bytes() == (expected / "metrics.json").read_bytes()


def test_killed_at_any_moment_it_continues_to_the_same_weights(tmp_path: Path) -> None:
    """In processes of their own, which cannot do anything on being killed."""
    config = run_config("train.epochs=6", "train.save_minutes=0.0001", *NOT_EVALUATED)
    train(config, tmp_path / "unbroken")
    broken, kills, generator = tmp_path / "broken", 0, random.Random(0)  # noqa: S311
    for _ in range(30):
        process = forking().Process(target=resume_on_one_thread, args=(config, broken))
        process.start()
        before = Checkpoints(broken / "states").paths()
        while process.is_alive() and Checkpoints(broken / "states").paths() == before:
            time.sleep(0.01)
        time.sleep(0.3 * generator.random())
        if kills < 3 and process.is_alive():
            process.kill()
            kills += 1
        process.join()
        if process.exitcode == 0:
            break
    assert kills == 3
    assert process.exitcode == 0
    assert read_log(broken) == read_log(tmp_path / "unbroken")
    assert same_weights(broken / "last.safetensors", tmp_path / "unbroken" / "last.safetensors")


def test_the_first_epochs_have_small_images_with_priors_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def look(predictions: Predictions) -> Predictions:
        seen.append(predictions.offsets.shape[1])
        return predictions

    small = ("train.small.epochs=2", "train.small.image_size=[128, 192]", "train.workers=2")
    config = run_config(
        "model.image_size=[160, 192]", "train.epochs=3", "train.eval_every=2", *small
    )
    for step in range(1, 3 * STEPS + 1):
        at_step(monkeypatch, step, look)
    with caplog.at_level("INFO"):
        train(config, tmp_path)
    assert "at 128 x 192 pixels, priors: no prior reaches" in caplog.text
    assert "at 160 x 192 pixels, priors reach all " in caplog.text
    counts = [
        len(build_model(config.model, 4).priors_at(size)) for size in ((128, 192), (160, 192))
    ]
    assert seen == [counts[0]] * 2 * STEPS + [counts[1]] * STEPS
    assert load_weights(tmp_path / "last.safetensors").model.image_size == (160, 192)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With frozen norms: those that learn see fewer images at once."""
    found = []
    for accumulate in (1, 2, 3):
        config = run_config("train.batch_size=8", f"train.accumulate={accumulate}")
        annotations = read_sources(config.data.train, "data.train")
        run = build_run(Plan(config, annotations.names, annotations), torch.device("cpu"))
        model = run.state.model
        randomise(model)
        model.eval()
        (batch,) = run.train_loader
        assert isinstance(batch, Batch)
        with monkeypatch.context() as patch:
            patch.setattr("vision.engine.step.clip_gradients", lambda *_: None)
            losses = train_step(run, batch)
        found.append((losses, [value.grad for value in model.parameters()]))
    for losses, gradients in found[1:]:
        assert_close(torch.stack([*losses]), torch.stack([*found[0][0]]), rtol=1e-5, atol=1e-6)
        for ours, full in zip(gradients, found[0][1], strict=True):
            assert ours is not None
            assert full is not None
            assert (ours - full).norm() <= 1e-4 * full.norm() + 1e-6


def test_a_loss_that_is_not_finite_names_the_batch_and_spares_what_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: dict[str, bytes] = {}

    def spoil(predictions: Predictions) -> Predictions:
        saved.update(contents(tmp_path))
        return Predictions(predictions.logits * math.nan, predictions.offsets)

    at_step(monkeypatch, STEPS + 1, spoil)
    with pytest.raises(TrainingError, match=r"the loss is not finite .*optim\.lr") as caught:
        train(run_config("data.val=null"), tmp_path)
    images = str(caught.value).rpartition("this batch: ")[2].split(", ")
    assert len(set(images)) == 4
    assert set(images) < {f"scene {index} of seed 0" for index in range(8)}
    assert {"last.safetensors", "best.safetensors", STATE, "log.csv"} < saved.keys()
    for name, content in contents(tmp_path).items():
        assert saved[name] == content or name.startswith("tensorboard/")


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("data.train=null", ConfigError, "data.train is missing"),
        ("data.train={format: synthetic, num_images: 1, seed: 3}", ConfigError, "one image"),
        ("train.device=cuda:99", ConfigError, "device cuda:99 cannot be used"),
        ("data.classes=[circles]", DataError, "did you mean 'circle'"),
    ],
)
def test_refuses_what_it_cannot_train(
    tmp_path: Path, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(run_config("data.val=null", override), tmp_path / "run")
    assert not contents(tmp_path)


def test_refuses_to_validate_on_classes_that_it_does_not_learn(tmp_path: Path) -> None:
    xml = voc_xml(voc_object("walrus", (11, 6, 30, 20)), voc_object("star", (1, 1, 9, 9)))
    root = write_voc(tmp_path / "voc", {"a": xml})
    config = run_config(f"data.val={{format: voc, root: '{root}', split: train}}")
    with pytest.raises(DataError, match=r"data\.val has classes .* not know: walrus;"):
        train(config, tmp_path / "run")
    assert not contents(tmp_path / "run")


def test_a_start_from_weights_says_what_it_took_and_is_not_needed_to_resume(
    one_epoch: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = Path(shutil.copy(one_epoch / "best.safetensors", tmp_path / "w.safetensors"))
    overrides = ("data.val=null", f"model.init={weights}")
    with caplog.at_level("INFO"):
        train(run_config(*overrides, "train.epochs=1"), tmp_path / "second")
    assert "the weights know: circle, square, star, triangle; new, " in caplog.text
    start = load_weights(tmp_path / "second" / "last.safetensors").training["start"]
    assert start == str(weights)
    weights.unlink()
    train(run_config(*overrides, "train.epochs=2"), tmp_path / "second", resume=True)
    assert [row["epoch"] for row in read_log(tmp_path / "second")] == ["1", "2"]
    assert load_weights(tmp_path / "second" / "last.safetensors").training["start"] == start


@pytest.mark.parametrize("overrides", [("train.precision=fp16",), ("train.precision=bf16",)])
def test_trains_in_every_precision(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    train(run_config(*overrides, "data.val=null"), tmp_path)
    losses = [float(row["loss"]) for row in read_log(tmp_path)]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_frozen_layers_stay_as_they_are_and_others_learn(tmp_path: Path, backbone: str) -> None:
    first, then = tmp_path / "first", tmp_path / "then"
    words = ("data.val=null", "train.epochs=1", f"model.backbone={backbone}")
    train(run_config(*words), first)
    init = f"model.init={first / 'last.safetensors'}"
    train(run_config(*words, "train.freeze=4", init), then)
    before, after = load_file(first / "last.safetensors"), load_file(then / "last.safetensors")
    for key, value in before.items():
        is_frozen = key.startswith(tuple(f"backbone.features.{index}." for index in range(4)))
        is_constant = key.startswith("pixel_")
        if key.endswith("num_batches_tracked"):
            continue
        assert torch.equal(after[key], value) == (is_frozen or is_constant), key


def test_more_frozen_layers_than_there_are_is_a_users_error(tmp_path: Path) -> None:
    """The data, which are not there, are not read before."""
    data = f"data.train={{format: coco, root: {tmp_path / 'none'}, split: train}}"
    with pytest.raises(ConfigError, match=r"train\.freeze is 20, but the backbone has 19 layers"):
        train(run_config("train.freeze=20", data), tmp_path / "run")


def test_the_average_is_what_is_saved(one_epoch: Path, tmp_path: Path) -> None:
    train(run_config(*ONE_EPOCH, "train.ema_decay=0.9"), tmp_path)
    state = torch.load(tmp_path / STATE, weights_only=True)
    plain = load_file(one_epoch / "last.safetensors")
    averaged = load_file(tmp_path / "last.safetensors")
    key = "class_heads.0.1.weight"
    assert torch.equal(state["model"][key], plain[key])
    assert torch.equal(state["ema"][f"module.{key}"], averaged[key])
    assert not torch.equal(averaged[key], plain[key])
