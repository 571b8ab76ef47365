"""A run that is resumed with other validation data: two sets are never compared."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.engine.test_run_folder import script
from tests.runs import read_log, read_metrics, run_config, scenes
from vision.config import load_config
from vision.detector import Detector
from vision.engine import evaluate_detector, train
from vision.engine.validation import fingerprint
from vision.errors import TrainingError
from vision.structures import Target
from vision.weights import load_weights

pytestmark = pytest.mark.slow

SMALL = (f"data.train={scenes(2)}", f"data.val={scenes(2)}", "train.tensorboard=false")
EACH = (*SMALL, "train.eval_every=1")
OTHER = "data.val.seed=7"


def best_of(folder: Path) -> tuple[int, float]:
    """Epoch and mAP of the best weights, as both of their files say."""
    metrics, training = read_metrics(folder), load_weights(folder).training
    values = [(one["epoch"], one["voc"]["mAP50"]) for one in (metrics,)]
    values += [(training["epoch"], training["metrics"]["voc"]["mAP50"])]
    assert values[0] == values[1]
    return values[0]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([0.2, 0.3], (2, 0.3)),  # worse than .5 on the earlier data, better than the best on these
        ([0.2, 0.1], (1, 0.2)),
    ],
)
def test_the_best_is_measured_again_on_the_new_data(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    values: list[float],
    best: tuple[int, float],
) -> None:
    script(monkeypatch, [0.5])
    train(run_config("train.epochs=1", *EACH), tmp_path)
    script(monkeypatch, values)
    train(run_config("train.epochs=2", *EACH, OTHER), tmp_path, resume=True)
    assert best_of(tmp_path) == best
    assert [row["voc.mAP50"] for row in read_log(tmp_path)] == ["0.5", str(values[1])]
    assert "the best weights are evaluated again" in caplog.text
    caplog.clear()
    script(monkeypatch, [0.15, best[1]])  # the epoch, and the best once more at the end
    config = run_config("train.epochs=3", *EACH, f"data.val={json.dumps([scenes(2, seed=7)])}")
    train(config, tmp_path, resume=True)  # the same data in other words: nothing is measured twice
    assert best_of(tmp_path) == best
    assert "evaluated again" not in caplog.text


def test_a_mean_that_is_the_best_stays_so_in_a_longer_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, [0.1])
    train(run_config("train.epochs=1", *EACH), tmp_path / "first")
    words = (*EACH, f"model.init={tmp_path / 'first'}", "train.interpolation=[0.5]")
    script(monkeypatch, [0.2, 0.3, 0.5])  # the start, the epoch, the mean
    train(run_config("train.epochs=1", *words), tmp_path / "second")
    assert best_of(tmp_path / "second") == (1, 0.5)
    script(monkeypatch, [0.4, 0.45, 0.5])  # the epoch, the mean, and the best once more
    train(run_config("train.epochs=2", *words), tmp_path / "second", resume=True)
    assert best_of(tmp_path / "second") == (1, 0.5)


def test_a_box_that_becomes_a_crowd_makes_other_data() -> None:
    """COCO's rule lets detections in a crowd be, and those in an ignored box once."""
    box, label, ignored = torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([0]), torch.tensor([True])
    target = Target(box, label, ignored, "a.jpg", (20, 20))
    crowd = replace(target, crowd=ignored)
    assert fingerprint([target], {}) == fingerprint([replace(target)], {})
    assert fingerprint([target], {}) != fingerprint([crowd], {})


def test_evaluations_without_a_better_one_are_counted_on_one_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train.epochs=9", *EACH, "train.patience=2")
    script(monkeypatch, [0.5, 0.4, 0.4])
    train(run_config(*words), tmp_path)
    script(monkeypatch, [0.3, 0.35, 0.1, 0.1])
    train(run_config(*words, OTHER), tmp_path, resume=True)
    assert [row["epoch"] for row in read_log(tmp_path)] == list("123456")
    assert best_of(tmp_path) == (4, 0.35)


def test_a_start_is_measured_again_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, [0.6])
    train(run_config("train.epochs=1", *SMALL), tmp_path / "first")
    init = f"model.init={tmp_path / 'first'}"
    script(monkeypatch, [0.6, 0.7])
    train(run_config("train.epochs=1", *SMALL, init), tmp_path / "run")
    script(monkeypatch, [0.1, 0.3, 0.2])  # start and best, then an epoch better than the start
    train(run_config("train.epochs=2", *EACH, init, OTHER), tmp_path / "run", resume=True)
    assert best_of(tmp_path / "run") == (1, 0.3)
    assert read_metrics(tmp_path / "run")["start"]["voc"]["mAP50"] == 0.1


def test_the_metrics_of_a_finished_run_are_those_of_the_new_data(
    learnt: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(learnt, tmp_path / "run"))
    config = load_config(folder / "config.yaml", [OTHER])
    train(config, folder, resume=True)
    detector = Detector.load(folder, score=None)
    expected = evaluate_detector(detector, config).metrics.to_dict()
    kept = read_metrics(folder)
    assert {key: kept[key] for key in expected} == expected
    assert kept["voc"] != read_metrics(learnt)["voc"]
    assert load_weights(folder).training["metrics"] == expected


def test_without_validation_data_no_metrics_of_other_weights_are_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(run_config("train.epochs=1", *SMALL), tmp_path)
    assert train(run_config(*SMALL, "data.val=null"), tmp_path, resume=True) is None
    assert "data.val is unset: from now on the last weights count as the best" in caplog.text
    assert not (tmp_path / "metrics.json").exists()
    assert load_weights(tmp_path).training["epoch"] == 2


def test_best_weights_that_are_gone_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script(monkeypatch, [0.5])
    train(run_config("train.epochs=1", *SMALL), tmp_path)
    (tmp_path / "best.safetensors").unlink()
    script(monkeypatch, [0.3])
    train(run_config("train.epochs=2", *SMALL, OTHER), tmp_path, resume=True)
    path = tmp_path / "best.safetensors"
    assert f"{path} is missing, so its earlier metrics are discarded" in caplog.text
    assert best_of(tmp_path) == (2, 0.3)


def test_best_weights_of_another_network_are_one_line(learnt: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(learnt, tmp_path / "run"))
    train(run_config("data.val=null", "data.classes=[star]", "train.epochs=1"), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "best.safetensors", folder / "best.safetensors")
    with pytest.raises(
        TrainingError, match=r"best.safetensors holds another network or other classes"
    ):
        train(load_config(folder / "config.yaml"), folder, resume=True)
