"""``model.priors=auto`` and ``ssdlite priors``."""

from pathlib import Path

import pytest
import yaml

from tests.runs import run_config, write_run_config
from vision.cli.main import main
from vision.config import Config, ModelConfig, PriorsConfig, load_config
from vision.data import read_sources
from vision.engine import train
from vision.engine.priors import choose_priors, fit_priors
from vision.errors import DataError

COARSE = "model.priors={min_scale: 0.6, max_scale: 0.95}"
NAMES = ["circle", "square", "star", "triangle"]


def chosen(config: Config, *, keeps: bool = False) -> tuple[PriorsConfig, str]:
    annotations = read_sources(config.data.train, "data.train")
    config, line = choose_priors(config, annotations, NAMES, keeps=keeps)
    return config.model.priors, line


def test_fitted_priors_are_taken_where_they_reach_many_more_boxes() -> None:
    priors, line = chosen(run_config(COARSE))
    assert priors.min_scale < 0.4
    assert f"min_scale {priors.min_scale:g}" in line
    assert "of the training boxes within reach instead of" in line


def test_priors_stay_where_little_is_gained() -> None:
    fitted, _ = chosen(run_config(COARSE))
    config = run_config(f"model.priors={{min_scale: {fitted.min_scale}, max_scale: 0.9}}")
    priors, line = chosen(config)
    assert priors == config.model.priors
    assert "not changed" in line


def test_the_priors_of_a_detector_stay() -> None:
    config = run_config(COARSE)
    priors, line = chosen(config, keeps=True)
    assert priors == config.model.priors
    assert "the priors of the weights are kept" in line


def test_priors_without_scales_stay() -> None:
    config = run_config("model.preset=qfgaohao", "model.image_size=300")
    priors, line = chosen(config)
    assert priors == config.model.priors
    assert line == "model.priors=auto: not changed; preset qfgaohao has priors of its own"


def test_boxes_that_are_all_ignored_are_refused() -> None:
    config = run_config()
    annotations = read_sources(config.data.train, "data.train")
    for record in annotations.records:
        record.ignore[:] = True
    with pytest.raises(DataError, match="difficult or crowds"):
        fit_priors(config, annotations, NAMES)


def test_a_run_with_auto_says_so_resumes_and_hands_its_priors_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first, second = tmp_path / "first", tmp_path / "second"
    config = run_config("model.priors=auto", "train.epochs=1", "data.val=null")
    train(config, first)
    assert "model.priors=auto: " in caplog.text
    written = yaml.safe_load((first / "config.yaml").read_text(encoding="utf-8"))
    assert set(written["model"]["priors"]) == {"min_scale", "max_scale"}
    caplog.clear()
    train(config, first, resume=True)
    assert "model.priors" not in caplog.text
    coarse = run_config(COARSE, "train.epochs=1", "data.val=null")
    train(coarse, second)
    caplog.clear()
    more = run_config("model.priors=auto", "train.epochs=1", "data.val=null")
    model = ModelConfig.model_validate({"priors": "auto", "init": str(second), "image_size": 128})
    train(more.model_copy(update={"model": model}), tmp_path / "third")
    assert "the priors of the weights are kept" in caplog.text
    assert load_config(tmp_path / "third" / "config.yaml").model.priors == coarse.model.priors


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"priors": {"fit": True, "min_scale": 0.1}}, "fit chooses min_scale and max_scale"),
        ({"priors": "auto", "preset": "lufficc"}, "preset lufficc has priors of its own"),
        ({"priors": "best"}, "priors"),
    ],
)
def test_what_cannot_be_fitted_is_refused(model: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.model_validate(model)


def test_the_command_prints_recall_and_yaml_to_paste(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_run_config(tmp_path / "run.yaml", COARSE)
    assert main(["priors", "--config", file]) == 0
    said = capsys.readouterr().out
    assert "best possible recall at IoU 0.5" in said
    pasted = yaml.safe_load("model:\n" + said.split("model:\n")[1].split("\n\n")[0])
    fitted, _ = chosen(run_config(COARSE))
    assert PriorsConfig.model_validate(pasted["model"]["priors"]) == fitted
    assert "model.priors=auto does the same" in said


def test_the_command_refuses_priors_without_scales(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["model.preset=lufficc", "model.image_size=320", "model.width_mult=1.0"]
    file = write_run_config(tmp_path / "run.yaml")
    assert main(["priors", "--config", file, *overrides]) == 2
    assert "preset lufficc has priors of its own" in capsys.readouterr().err
