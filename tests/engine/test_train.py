"""Training: it learns, the same each time, and goes on where it was interrupted."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.data.builders import voc_object, voc_xml, write_voc
from tests.runs import contents, read_log, run_config, same_weights
from vision.engine import train
from vision.errors import ConfigError, DataError, TrainingError
from vision.model import MultiBoxLoss
from vision.model.loss import Losses
from vision.structures import Predictions, Target

STEPS = 2
"""Steps of an epoch of `run_config`."""

RESUMED = ("train.epochs=3", "train.eval_every=2", "data.val.num_images=3")


def at_step(
    monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[Predictions], Predictions]
) -> None:
    """Let ``act`` change, or stop, what the loss sees of one step, counted from 1."""
    forward, steps = MultiBoxLoss.forward, iter(range(1, 1000))

    def patched(self: MultiBoxLoss, predictions: Predictions, targets: Sequence[Target]) -> Losses:
        if next(steps) == number:
            predictions = act(predictions)
        return forward(self, predictions, targets)

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


def test_a_resumed_run_equals_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Interrupted in the midst of the second epoch: what that one did so far must not count."""

    def interrupt(_: Predictions) -> Predictions:
        raise KeyboardInterrupt

    config, unbroken, broken = run_config(*RESUMED), tmp_path / "unbroken", tmp_path / "broken"
    train(config, unbroken)
    with monkeypatch.context() as patch:
        at_step(patch, STEPS + 2, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, broken)
    assert [row["epoch"] for row in read_log(broken)] == ["1"]
    with caplog.at_level("INFO"):
        train(config, broken, resume=True)
    assert "resuming after epoch 1" in caplog.text
    assert [row["epoch"] for row in read_log(broken)] == ["1", "2", "3"]
    assert read_log(broken) == read_log(unbroken)
    for name in ("last.safetensors", "best.safetensors"):
        assert same_weights(broken / name, unbroken / name)
    wanted, found = contents(unbroken), contents(broken)
    assert found.keys() == wanted.keys()
    for name in wanted.keys() - {"log.csv", "state.pt", "last.safetensors", "best.safetensors"}:
        assert found[name] == wanted[name]


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
    assert {"last.safetensors", "best.safetensors", "state.pt", "log.csv"} < saved.keys()
    assert contents(tmp_path) == saved


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("data.train=null", ConfigError, "data.train is missing"),
        ("data.train.num_images=1", ConfigError, "data.train has one image"),
        ("train.device=gpu", ConfigError, "device gpu cannot be used"),
        ("data.classes=[circles]", DataError, "did you mean 'circle'"),
    ],
)
def test_refuses_what_it_cannot_train(
    tmp_path: Path, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(run_config(override), tmp_path / "run")
    assert not contents(tmp_path)


def test_refuses_to_validate_on_classes_that_it_does_not_learn(tmp_path: Path) -> None:
    xml = voc_xml(voc_object("walrus", (11, 6, 30, 20)), voc_object("star", (1, 1, 9, 9)))
    root = write_voc(tmp_path / "voc", {"a": xml})
    config = run_config(f"data.val={{format: voc, root: '{root}', split: train}}")
    with pytest.raises(DataError, match=r"data\.val has classes .* not know: walrus;"):
        train(config, tmp_path / "run")
    assert not contents(tmp_path / "run")


def test_a_start_from_weights_says_what_it_took_and_is_not_needed_to_resume(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(run_config("data.val=null", "train.epochs=1"), tmp_path / "first")
    weights = tmp_path / "w.safetensors"
    (tmp_path / "first" / "best.safetensors").rename(weights)
    overrides = ("data.val=null", f"model.init={weights}")
    with caplog.at_level("INFO"):
        train(run_config(*overrides, "train.epochs=1"), tmp_path / "second")
    assert "classes matched by name: circle, square, star, triangle; fresh: none" in caplog.text
    weights.unlink()
    train(run_config(*overrides, "train.epochs=2"), tmp_path / "second", resume=True)
    assert [row["epoch"] for row in read_log(tmp_path / "second")] == ["1", "2"]
