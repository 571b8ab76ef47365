"""The run folder: what a run leaves there, and what it must find or not find there."""

import errno
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runs import contents, read_log, read_metrics, run_config, same_weights, scenes
from vision.config import load_config
from vision.data import Loader, read_sources
from vision.detections import Detections
from vision.detector import Detector
from vision.draw import draw_detections
from vision.engine import evaluate_detector, train
from vision.engine.checkpoint_content import check_content
from vision.engine.evaluation import Evaluation
from vision.engine.pictures import draw_legend, draw_target
from vision.engine.run_folder import RunFolder
from vision.errors import ConfigError, TrainingError, VisionError
from vision.media import write_image
from vision.metrics import evaluate_detections
from vision.weights import load_weights

pytestmark = pytest.mark.slow

NAMES = ["circle", "square", "star", "triangle"]
COCO_KEYS = {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"}
FILES = {
    "config.yaml",
    "augmentation.png",
    "curves.png",
    "environment.json",
    "log.csv",
    "best.safetensors",
    "last.safetensors",
}
SMALL = (f"data.train={scenes(2)}", f"data.val={scenes(2)}", "train.epochs=3")
ONE_EPOCH = ("train.epochs=1", "data.val=null")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch without validation data; to be left as it is."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    train(run_config(*ONE_EPOCH), folder)
    return folder


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs without validation data; to be left as it is."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    assert train(run_config("data.val=null"), folder) is None
    return folder


def script(monkeypatch: pytest.MonkeyPatch, values: Sequence[float | None]) -> None:
    """Let each evaluation that training makes find the next of some values of mAP."""
    coming = iter(values)

    def scripted(_: object, loader: Loader, *__: object, **___: object) -> Evaluation:
        nothing, value = evaluate_detections([], [], NAMES), next(coming)
        found = [Detections.empty(target.size) for target in loader.dataset.targets]
        voc = replace(nothing.voc, ap=[value] * len(NAMES))
        return Evaluation(replace(nothing, voc=voc, coco=replace(nothing.coco, AP=value)), found)

    monkeypatch.setattr("vision.engine.evaluation.evaluate", scripted)


def test_holds_all_that_a_run_is_worth(learnt: Path) -> None:
    files = contents(learnt)
    pictures = {name for name in files if name.startswith("pictures/")}
    others = {name.split("/")[0] for name in files.keys() - pictures}
    assert others == {*FILES, "metrics.json", "states", "tensorboard"}
    assert len([name for name in files if name.startswith("states/")]) == 2
    assert len(pictures) == 8
    saved = load_weights(learnt / "best.safetensors")
    assert saved.names == NAMES
    assert load_config(learnt / "config.yaml") == saved.config
    assert saved.config.data.val is not None
    assert saved.training["thresholds"] == read_metrics(learnt)["thresholds"]


def test_the_best_weights_as_written_have_the_metrics_that_are_written(learnt: Path) -> None:
    detector = Detector.load(learnt, score=None)
    metrics = evaluate_detector(detector, load_config(learnt / "config.yaml")).metrics
    written = read_metrics(learnt)
    assert metrics.voc.mean == pytest.approx(written["voc"]["mAP50"], abs=1e-6)
    assert pytest.approx(written["coco"]["AP"], abs=1e-6) == metrics.coco.AP
    assert written["voc"]["mAP50"] > 0.9


def test_pictures_show_validation_data_with_truth_and_detections(
    learnt: Path, tmp_path: Path
) -> None:
    detector = Detector.load(learnt / "best.safetensors", score=0.4)
    labels = {name: label for label, name in enumerate(NAMES)}
    records = read_sources(run_config().data.val, "data.val").records
    pictures = sorted((learnt / "pictures").iterdir())
    for record, picture in zip(records, pictures, strict=True):
        image = record.read()
        expected = draw_target(image, record.target(labels), NAMES)
        expected = draw_detections(expected, detector(image), NAMES)
        write_image(tmp_path / picture.name, draw_legend(expected))
        assert (tmp_path / picture.name).read_bytes() == picture.read_bytes()


def test_metrics_hold_both_families_for_each_class(learnt: Path) -> None:
    metrics = read_metrics(learnt)
    assert metrics.keys() == {
        *("coco", "voc", "num_images", "num_classes_with_boxes"),
        *("epoch", "start", "interval95", "thresholds", "irregularities"),
    }
    assert metrics["start"] is None
    for name, value in (("voc.mAP50", metrics["voc"]["mAP50"]), ("coco.AP", metrics["coco"]["AP"])):
        low, high = metrics["interval95"][name]
        assert 0 <= low <= value <= high <= 1
    assert metrics["coco"].keys() == {*COCO_KEYS, "per_class"}
    assert metrics["voc"].keys() == {"mAP50", "mAP50_11pt", "per_class"}
    for family in ("coco", "voc"):
        assert list(metrics[family]["per_class"]) == NAMES
        values = [value for value in metrics[family]["per_class"].values() if value is not None]
        assert all(0 < value <= 1 for value in values)
        mean = metrics["coco"]["AP"] if family == "coco" else metrics["voc"]["mAP50"]
        assert mean == pytest.approx(sum(values) / len(values), abs=1e-6)


@pytest.mark.parametrize(
    ("eval_every", "values", "best", "logged"),
    [
        # Of equals the first.
        (1, [0.2, 0.5, 0.5], 2, ["0.2", "0.5", "0.5"]),
        # After the last epoch in any case.
        (2, [0.5, 0.3], 2, ["", "0.5", "0.3"]),
        # Without a box to find there is no value, which is less than any.
        (1, [None, 0.0, None], 2, ["", "0", ""]),
        (2, [None, None], 3, ["", "", ""]),
    ],
)
def test_keeps_the_best(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eval_every: int,
    values: list[float | None],
    best: int,
    logged: list[str],
) -> None:
    script(monkeypatch, values)  # The evaluation of the best is not made again at the end.
    metrics = train(run_config(*SMALL, f"train.eval_every={eval_every}"), tmp_path)
    assert [row["voc.mAP50"] for row in read_log(tmp_path)] == logged
    assert read_metrics(tmp_path)["epoch"] == best
    assert read_metrics(tmp_path)["voc"]["mAP50"] == values[best - eval_every]
    assert load_weights(tmp_path / "best.safetensors").training["epoch"] == best
    assert load_weights(tmp_path / "last.safetensors").training["epoch"] == 3
    assert metrics is not None
    assert metrics.voc.mean == pytest.approx(values[best - eval_every])


def test_a_resumed_run_keeps_the_best_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, [0.5, 0.9])
    train(run_config(*SMALL, "train.eval_every=1", "train.epochs=1"), tmp_path)
    script(monkeypatch, [0.3, 0.4, 0.9])
    train(run_config(*SMALL, "train.eval_every=1"), tmp_path, resume=True)
    assert [row["voc.mAP50"] for row in read_log(tmp_path)] == ["0.5", "0.3", "0.4"]
    assert read_metrics(tmp_path)["epoch"] == 1
    assert load_weights(tmp_path / "best.safetensors").training["epoch"] == 1


def test_without_validation_data_the_last_is_the_best(unbroken: Path) -> None:
    assert same_weights(unbroken / "best.safetensors", unbroken / "last.safetensors")
    assert load_weights(unbroken / "best.safetensors").training["epoch"] == 2
    assert {name.split("/")[0] for name in contents(unbroken)} == {*FILES, "states", "tensorboard"}


def test_never_starts_a_run_over_another(finished: Path) -> None:
    before = contents(finished)
    with pytest.raises(TrainingError, match="finished exists; continue it with --resume"):
        train(run_config(*ONE_EPOCH), finished)
    assert contents(finished) == before


def test_a_folder_of_hidden_files_is_a_new_run_folder(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"icons")
    RunFolder(tmp_path, resume=False).check()
    (tmp_path / "tensorboard").mkdir()
    with pytest.raises(TrainingError, match="exists; continue it with --resume"):
        RunFolder(tmp_path, resume=False).check()


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("notes", encoding="utf-8")
    for resume in (False, True):
        with pytest.raises(TrainingError, match=r"run folder .*run cannot be used"):
            train(run_config(*ONE_EPOCH), tmp_path / "run", resume=resume)
    assert contents(tmp_path) == {"run": b"notes"}


def test_resuming_in_a_folder_of_other_files_leaves_them(tmp_path: Path) -> None:
    for name in ("config.yaml", "metrics.json", ".a.partial"):
        (tmp_path / name).write_text("a user's own", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(TrainingError, match=r"holds other files and no run .* another with --out"):
        train(run_config(*ONE_EPOCH), tmp_path, resume=True)
    assert contents(tmp_path) == before


def test_resuming_nothing_starts_from_the_beginning_and_says_so(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a crash in the first epoch."""
    (tmp_path / "environment.json").write_text("", encoding="utf-8")
    with caplog.at_level("INFO"):
        train(run_config(*ONE_EPOCH), tmp_path, resume=True)
    assert f"no checkpoint in {tmp_path}: starting from the beginning" in caplog.messages
    assert read_log(tmp_path) == read_log(finished)
    assert same_weights(tmp_path / "last.safetensors", finished / "last.safetensors")


def test_resuming_a_finished_run_leaves_it_as_it_is(learnt: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(learnt, tmp_path / "learnt"))
    metrics = train(load_config(learnt / "config.yaml"), copied, resume=True)
    assert contents(copied) == contents(learnt)
    assert metrics is not None
    kept = read_metrics(learnt)
    assert metrics.to_dict() == {key: kept[key] for key in metrics.to_dict()}


@pytest.mark.parametrize(
    "override", ["data.classes=[circle, star]", "model.width_mult=0.35", "model.image_size=160"]
)
def test_refuses_to_resume_another_network_or_other_classes(finished: Path, override: str) -> None:
    before = contents(finished)
    with pytest.raises(TrainingError, match=r"are of another run \(.*\); resume with"):
        train(run_config(*ONE_EPOCH, override), finished, resume=True)
    assert contents(finished) == before


def test_other_training_images_are_named_with_what_helps(finished: Path) -> None:
    with pytest.raises(TrainingError, match=r"images are not those .*images 8 -> 7.*model\.init="):
        train(run_config(*ONE_EPOCH, "data.train.num_images=7"), finished, resume=True)


@pytest.mark.parametrize("length", [0, 1000])
def test_damaged_states_alone_are_refused(finished: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / "states").mkdir()
    for path in (finished / "states").iterdir():
        (tmp_path / "states" / path.name).write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        TrainingError, match=r"cannot be read \(.+\); .* has no intact checkpoint"
    ) as caught:
        train(run_config(*ONE_EPOCH), tmp_path, resume=True)
    assert "\n" not in str(caught.value)


def test_a_state_of_another_version_is_refused(finished: Path, tmp_path: Path) -> None:
    (path,) = (finished / "states").iterdir()
    state = torch.load(path, weights_only=True)
    del state["schedule"]
    (tmp_path / "states").mkdir()
    torch.save(state, tmp_path / "states" / path.name)
    with pytest.raises(TrainingError, match=r"has no schedule: another version wrote it"):
        train(run_config(*ONE_EPOCH), tmp_path, resume=True)


WRONG: dict[str, list[Any]] = {
    "version": ["2"],
    "rng_state": [5, {"torch": 5}],
    "names": ["ab", [1]],
    "config": [[], "x"],
    "model": [5, {"a": [1]}],
    "optimizer": [None, {"state": {}, "param_groups": [{"params": [99]}]}],
    "schedule": [[], {"last_epoch": "x"}],
    "step": [5.5, -1, "5"],
    "sums": [[1.0], ["a", "b", "c"], 5],
    "best": ["x", None],
    "rows": [5, ["x"]],
    "start": [[], 5],
    "ema": [5],
    "val": [5],
}
LOADED = {"rng_state", "model", "optimizer", "schedule"}
"""Parts whose last value is found wrong when it is loaded."""


def test_a_state_with_parts_of_other_types_is_refused(finished: Path) -> None:
    """No checksum tells, and another version may write them."""
    (path,) = (finished / "states").iterdir()
    content = torch.load(path, weights_only=True)
    check_content(content, "it")
    for part, values in WRONG.items():
        for value in values[:-1] if part in LOADED else values:
            words = f"^it has an invalid {part}.*: another"
            with pytest.raises(TrainingError, match=words) as caught:
                check_content({**content, part: value}, "it")
            assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        *((part, WRONG[part][-1], "does not fit this version") for part in sorted(LOADED)),
        ("version", 999, "has version 999: another version wrote it"),
    ],
)
def test_a_state_that_does_not_fit_this_version_is_refused(
    finished: Path, tmp_path: Path, part: str, value: object, message: str
) -> None:
    (path,) = (finished / "states").iterdir()
    content = torch.load(path, weights_only=True)
    (tmp_path / "states").mkdir()
    torch.save({**content, part: value}, tmp_path / "states" / path.name)
    with pytest.raises(TrainingError, match=message) as caught:
        train(run_config(*ONE_EPOCH, "train.epochs=2"), tmp_path, resume=True)
    assert len(str(caught.value).splitlines()) == 1


FIRST_LAYOUT = {
    *("best", "chance", "config", "ema", "epoch", "known", "lr", "model", "names", "optimizer"),
    *("origin", "rows", "scaler", "schedule", "seconds", "start", "step", "sums", "unimproved"),
}
"""Keys of a state as the first release wrote them, without a version."""


def test_a_run_resumes_from_a_state_of_the_first_layout(
    unbroken: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, broken = run_config("data.val=null"), tmp_path / "broken"
    shutil.copytree(unbroken, broken)
    first, second = sorted((broken / "states").iterdir())
    second.unlink()
    state = torch.load(first, weights_only=True)
    del state["version"], state["val"]
    state["chance"] = state.pop("rng_state")
    state["config"]["number format"] = state["config"].pop("autocast dtype")
    assert state.keys() == FIRST_LAYOUT
    torch.save(state, first)
    with caplog.at_level("INFO"):
        train(config, broken, resume=True)
    assert "resuming after epoch 1 and 0 steps" in caplog.text
    assert "changed since" not in caplog.text
    assert read_log(broken) == read_log(unbroken)
    assert same_weights(broken / "last.safetensors", unbroken / "last.safetensors")


def test_continues_from_the_state_before_a_damaged_one(
    unbroken: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, broken = run_config("data.val=null"), tmp_path / "broken"
    shutil.copytree(unbroken, broken)
    newest = max((broken / "states").iterdir())
    content = bytearray(newest.read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 5000):
        content[place] ^= 1
    newest.write_bytes(content)
    with caplog.at_level("INFO"):
        train(config, broken, resume=True)
    assert "): continuing from the checkpoint before it" in caplog.text
    assert "resuming after epoch 1 and 0 steps" in caplog.text
    assert same_weights(broken / "last.safetensors", unbroken / "last.safetensors")


@pytest.mark.parametrize("what", ["state", "weights"])
def test_a_full_disk_leaves_what_was_there(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Written in part, then refused: as a disk that fills up does."""
    config = run_config("data.val=null")
    shutil.copytree(unbroken, tmp_path / "run")
    max((tmp_path / "run" / "states").iterdir()).unlink()
    before = contents(tmp_path / "run")

    def full_state(state: object, path: Path) -> None:
        path.write_bytes(b"part")
        raise OSError(errno.ENOSPC, "No space left on device")

    write_bytes = Path.write_bytes

    def full_weights(path: Path, content: bytes) -> None:
        if len(content) < 100_000:  # Other files of the run.
            write_bytes(path, content)
            return
        path.write_text("part")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if what == "state":
            patch.setattr("vision.engine.checkpoint.torch.save", full_state)
        else:
            patch.setattr(Path, "write_bytes", full_weights)
        with pytest.raises(VisionError, match=r"cannot be written .*No space left") as caught:
            train(config, tmp_path / "run", resume=True)
    assert "\n" not in str(caught.value)
    after = contents(tmp_path / "run")
    assert not [name for name in after if name.endswith(".partial")]
    assert {name for name in after if name.startswith("states/")} >= {
        name for name in before if name.startswith("states/")
    }
    train(config, tmp_path / "run", resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        assert same_weights(tmp_path / "run" / name, unbroken / name)


def test_a_changed_configuration_is_reported(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    config = run_config("train.epochs=2", "data.val=null", "optim.lr=0.01", "train.ema_decay=0.9")
    with caplog.at_level("INFO"):
        train(config, tmp_path / "run", resume=True)
    for line in ("train.epochs 1 -> 2", "optim.lr 0.05 -> 0.01", "train.ema_decay 0.0 -> 0.9"):
        assert f"changed since: {line}" in caplog.messages
    state = torch.load(max((tmp_path / "run" / "states").iterdir()), weights_only=True)
    assert {group["initial_lr"] for group in state["optimizer"]["param_groups"]} == {0.01}
    assert read_log(tmp_path / "run")[1]["lr"] == "0.01"


def test_stops_early_when_nothing_gets_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script(monkeypatch, [0.5, 0.4, 0.5, 0.9])
    config = run_config(*SMALL, "train.epochs=9", "train.eval_every=1", "train.patience=2")
    with caplog.at_level("INFO"):
        train(config, tmp_path)
    assert [row["voc.mAP50"] for row in read_log(tmp_path)] == ["0.5", "0.4", "0.5"]
    assert "stopping early: 2 evaluations without a better one" in caplog.messages
    assert read_metrics(tmp_path)["epoch"] == 1
    script(monkeypatch, [0.9])
    train(config, tmp_path, resume=True)
    assert len(read_log(tmp_path)) == 3


def test_patience_without_evaluations_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.patience counts evaluations, which need"):
        train(run_config("data.val=null", "train.patience=2"), tmp_path)


def test_weights_that_are_no_numbers_are_never_saved(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a gradient that was not finite, in the last step of an epoch."""
    config = run_config("data.val=null")
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    before = {name: data for name, data in contents(tmp_path).items() if "tensorboard" not in name}

    def spoil(model: torch.nn.Module, _: float) -> None:
        for value in model.parameters():
            assert value.grad is not None
            value.grad.fill_(torch.nan)

    # Two steps an epoch; the loss of the second already tells of the first's weights.
    steps = iter([lambda *_: None, spoil])

    def clip(model: torch.nn.Module, ratio: float) -> None:
        next(steps)(model, ratio)

    monkeypatch.setattr("vision.engine.step.clip_gradients", clip)
    with pytest.raises(TrainingError, match="weights are no longer finite and were not saved"):
        train(config, tmp_path, resume=True)
    for name, data in before.items():
        if name not in {"config.yaml", "environment.json"}:
            assert (tmp_path / name).read_bytes() == data
