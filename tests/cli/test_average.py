"""``ssdlite average``: the mean of weights, and what cannot be averaged."""

import re
from pathlib import Path

import pytest
import torch

from vision.cli.main import main
from vision.config import Config, config_from_dict
from vision.errors import WeightsError
from vision.model import BACKBONES, build_model
from vision.weights import average, load_weights, save_weights, to_half

MODEL = {"image_size": 128, "width_mult": 0.25}


def weights(path: Path, names: list[str], seed: int, **model: object) -> Path:
    config: Config = config_from_dict({"model": MODEL | model}, [], "test")
    torch.manual_seed(seed)
    network = build_model(config.model, len(names))
    training = {"epoch": seed, "start": "nothing", "metrics": {"voc": {}}}
    save_weights(path, network, config, names, training)
    return path


def run_average(*words: object) -> int:
    return main(["average", *map(str, words)])


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_mean_finds_classes_by_name(tmp_path: Path, backbone: str) -> None:
    network = {"backbone": backbone}
    first = weights(tmp_path / "a.safetensors", ["aeroplane", "cat"], 1, **network)
    other = weights(tmp_path / "b.safetensors", ["cat", "dog", "airplane"], 2, **network)
    out = tmp_path / "new" / "m.safetensors"
    assert run_average(first, other, "--fractions", 0.75, 0.25, "--out", out) == 0
    a, b, mean = (load_weights(path).model.state_dict() for path in (first, other, out))
    key = "backbone.features.0.0.weight"
    torch.testing.assert_close(mean[key], 0.75 * a[key] + 0.25 * b[key])
    key = "class_heads.0.1.weight"
    rows = b[key].reshape(6, 4, -1)[:, [2, 0, 3]]  # airplane, cat, background
    expected = 0.75 * a[key].reshape(6, 3, -1) + 0.25 * rows
    torch.testing.assert_close(mean[key].reshape(6, 3, -1), expected)
    saved = load_weights(out)
    assert saved.names == ["aeroplane", "cat"]
    assert saved.training == {
        "epoch": 1,
        "start": "nothing",
        "mean": f"0.75 of {first}, 0.25 of {other}",
    }


@pytest.mark.slow
def test_half_precision_and_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [weights(tmp_path / f"{seed}.safetensors", ["cat"], seed) for seed in (1, 2, 3)]
    out = tmp_path / "m.safetensors"
    assert run_average(*paths, "--half", "--note", "warning=a = b", "--out", out) == 0
    exact = average(paths).model.state_dict()
    halved = load_weights(out).model
    parameters = {key for key, _ in halved.named_parameters()}
    for key, value in halved.state_dict().items():
        expected = exact[key].half().float() if key in parameters else exact[key]
        assert torch.equal(value, expected), key
    assert out.stat().st_size < 0.6 * paths[0].stat().st_size
    capsys.readouterr()
    assert main(["info", str(out)]) == 0
    assert "warning        a = b" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "names", "words", "message"),
    [
        ({"preset": "tensorflow"}, ["cat"], [], "different networks: model.preset"),
        ({"scores": "sigmoid"}, ["cat"], [], "different networks: model.scores"),
        ({"priors": {"min_scale": 0.1}}, ["cat"], [], "different networks: model.priors"),
        ({}, ["dog"], [], "b.safetensors lacks cat of the first file's classes; put a"),
        ({}, ["cat"], ["--fractions", "0.5"], "2 weights files need as many fractions, got 1"),
        ({}, ["cat"], ["--shares", "0.5", "0.6"], "with the sum 1"),
        ({}, ["cat"], ["--shares", "1.5", "-0.5"], "with the sum 1"),
        ({}, ["cat"], ["--shares", "nan", "nan"], "with the sum 1"),
        ({}, ["cat"], ["--note", "warning"], "--note warning: expected KEY=VALUE"),
        ({}, ["cat"], ["--note", "metrics=1"], "--note metrics: the file already has that entry"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: dict[str, object],
    names: list[str],
    words: list[str],
    message: str,
) -> None:
    first = weights(tmp_path / "a.safetensors", ["cat"], 1)
    other = weights(tmp_path / "b.safetensors", names, 2, **model)
    out = tmp_path / "m.safetensors"
    assert run_average(first, other, *words, "--out", out) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("ssdlite average: error:")
    assert "\n" not in error
    assert re.search(message, error)
    assert not out.exists()


def test_one_file_is_no_mean_and_nothing_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = weights(tmp_path / "a.safetensors", ["cat"], 1)
    assert run_average(first, "--out", tmp_path / "m.safetensors") == 2
    assert "two weights files or more" in capsys.readouterr().err
    before = first.read_bytes()
    assert run_average(first, first, "--out", first) == 2
    assert "exists; name another --out, or pass --overwrite" in capsys.readouterr().err
    assert first.read_bytes() == before
    assert run_average(first, first, "--overwrite", "--half", "--out", first) == 0
    assert first.read_bytes() != before


def test_the_old_name_of_the_fractions_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = weights(tmp_path / "a.safetensors", ["cat"], 1)
    out = tmp_path / "m.safetensors"
    assert run_average(first, first, "--shares", 0.75, 0.25, "--out", out) == 0
    assert "--shares is now --fractions\n" in capsys.readouterr().out
    assert load_weights(out).training["mean"] == f"0.75 of {first}, 0.25 of {first}"


@pytest.mark.slow
def test_scores_that_are_the_preset_s_own_are_the_same_named_or_not(tmp_path: Path) -> None:
    first = weights(tmp_path / "a.safetensors", ["cat"], 1)
    other = weights(tmp_path / "b.safetensors", ["cat"], 2, scores="softmax")
    assert average([first, other]).names == ["cat"]


@pytest.mark.slow
def test_a_mean_with_itself_is_itself_whatever_classes_mean(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.safetensors", ["tv", "cat", "tvmonitor"], 1)
    state = load_weights(path).model.state_dict()
    for key, value in average([path, path]).model.state_dict().items():
        torch.testing.assert_close(value, state[key])
    one = weights(tmp_path / "b.safetensors", ["cat", "tv"], 1)
    with pytest.raises(WeightsError, match="one class for tv and another of the first file's"):
        average([path, one])


def test_too_large_for_half_precision(tmp_path: Path) -> None:
    model = load_weights(weights(tmp_path / "a.safetensors", ["cat"], 1)).model
    torch.nn.init.constant_(model.get_parameter("backbone.features.0.0.weight"), 1e5)
    with pytest.raises(WeightsError, match=r"features\.0\.0\.weight is too large"):
        to_half(model)


def test_a_mean_keeps_the_licences_of_what_its_parts_started_from(tmp_path: Path) -> None:
    paths = [weights(tmp_path / f"{seed}.safetensors", ["cat"], seed) for seed in (1, 2)]
    saved = load_weights(paths[1])
    facts = {"start": "W (file w, licence Apache-2.0, by A)"}
    save_weights(paths[1], saved.model, saved.config, saved.names, facts)
    assert average(paths).training["licence"] == "Apache-2.0, by A"
