"""The sheet of augmented training images."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import vision.engine.epoch
import vision.engine.sheet
import vision.engine.trainer
from tests.formats.builders import write_image
from tests.runs import read_log, run_config, same_weights
from vision.engine import Trainer, train
from vision.engine.pictures import draw_target
from vision.engine.step import train_step
from vision.images import read_image


def test_the_sheet_shows_what_the_network_gets_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, trained = list[Any](), list[Any]()
    draw, step = draw_target, train_step

    def drawn(image: Any, target: Any, names: Any) -> Any:  # noqa: ANN401
        shown.append((image, target.image_id))
        return draw(image, target, names)

    def stepped(run: Any, batch: Any) -> Any:  # noqa: ANN401
        images = batch.images.permute(0, 2, 3, 1).numpy()
        trained.extend(zip(images, (target.image_id for target in batch.targets), strict=True))
        return step(run, batch)

    config = run_config("augment.preset=ssd", "train.epochs=1")
    monkeypatch.setattr(vision.engine.epoch, "train_step", stepped)
    with monkeypatch.context() as patch:
        patch.setattr(vision.engine.sheet, "draw_target", drawn)
        patch.setattr(vision.engine.sheet, "LONG_SIDE", 128)
        train(config, tmp_path / "with")
    assert len(shown) == len(trained) == 8
    for (image, name), (other, other_name) in zip(shown, trained, strict=True):
        assert name == other_name
        assert np.array_equal(image, other)
    monkeypatch.setattr(vision.engine.trainer, "draw_sheet", lambda *_: None)
    train(config, tmp_path / "without")
    assert not (tmp_path / "without" / "augmentation.png").exists()
    assert same_weights(tmp_path / "with/best.safetensors", tmp_path / "without/best.safetensors")
    assert read_log(tmp_path / "with") == read_log(tmp_path / "without")


def test_the_sheet_is_there_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(vision.engine.trainer, "train_epoch", failing)
    with pytest.raises(RuntimeError):
        train(run_config(), tmp_path)
    sheet = read_image(tmp_path / "augmentation.png")
    # Eight images are two rows of four, 400 pixels wide.
    assert sheet.shape == (30 + 2 * 420, 8 + 4 * 408, 3)


def test_characters_that_the_font_lacks_are_question_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of names that are not UTF-8, for which matplotlib raises an error."""
    texts, write = list[str](), Figure.text

    def written(figure: Figure, x: float, y: float, text: str, **options: Any) -> Any:  # noqa: ANN401
        texts.append(text)
        return write(figure, x, y, text, **options)

    for name in (os.fsdecode(b"caf\xe9.jpg"), "caf\u00e9.jpg", "\u56fe1.jpg"):
        write_image(tmp_path / "images" / name)
        label = tmp_path / "labels" / f"{name.removesuffix('.jpg')}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text("0 0.5 0.5 0.5 0.25")
    monkeypatch.setattr(Figure, "text", written)
    monkeypatch.setattr(Trainer, "fit", lambda *_: None)
    data = {"format": "yolo", "root": str(tmp_path)}
    config = run_config("train.batch_size=3", "data.val=null", f"data.train={json.dumps(data)}")
    train(config, tmp_path / "run")
    assert {*texts[1:]} == {"caf?.jpg", "caf\u00e9.jpg", "?1.jpg"}
    assert (tmp_path / "run" / "augmentation.png").exists()
