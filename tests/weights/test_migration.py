"""Weights, states and configurations that older versions wrote."""

import hashlib
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.reference_model import randomise
from tests.runs import read_log, run_config, same_weights
from vision.config import Config, ModelConfig, config_from_dict, load_config
from vision.convert import load_initial_weights
from vision.engine import train
from vision.errors import ConfigError
from vision.model import build_model
from vision.weights import (
    SHIPPED,
    SavedBackbone,
    load_any,
    load_weights,
    save_backbone,
    save_weights,
)

OLD_NAMES = {"none": "ssdlite_mobilenet_v2", "fpn": "ssdlite_fpn"}
FOLDED = "folded into the convolutions, their statistics lost"


def old_keys(tensors: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"^(module\.)?backbone\.", r"\1trunk.", k): v for k, v in tensors.items()}


def old_config(values: dict[str, Any]) -> dict[str, Any]:
    """A configuration as format 1 has it."""
    model, optim = dict(values["model"]), dict(values["optim"])
    model = {"name": OLD_NAMES[model.pop("neck")], **model}
    del model["backbone"]
    optim["trunk_lr"] = optim.pop("backbone_lr")
    return {**values, "model": model, "optim": optim}


def age(path: Path, kind: str, **training: object) -> Path:
    """A weights file in the layout of format 1."""
    with safetensors.safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata()
    config = old_config(json.loads(metadata["config"]))
    metadata |= {"format": kind, "config": json.dumps(config)}
    metadata["training"] = json.dumps({**json.loads(metadata["training"]), **training})
    old = path.with_name(f"old-{path.name}")
    save_file(old_keys(load_file(path)), old, metadata)
    return old


@pytest.mark.slow
@pytest.mark.parametrize("neck", ["none", "fpn"])
def test_weights_of_format_1_are_read_in_silence(
    tmp_path: Path, neck: str, caplog: pytest.LogCaptureFixture
) -> None:
    values = {"model": {"neck": neck, "image_size": 128, "width_mult": 0.25}}
    config = config_from_dict({**values, "optim": {"backbone_lr": 0.3}})
    model = build_model(config.model, 2).eval()
    randomise(model)
    save_weights(tmp_path / "w.safetensors", model, config, ["a", "b"], {"epoch": 3})
    old = age(tmp_path / "w.safetensors", "ssdlite-1", norms=FOLDED)
    assert any(key.startswith("trunk.") for key in load_file(old))
    with caplog.at_level(logging.INFO):
        saved = load_weights(old)
    assert not caplog.records
    assert saved.config == config
    assert saved.training == {"epoch": 3}
    assert saved.norms_folded
    for key, value in model.state_dict().items():
        assert torch.equal(saved.model.state_dict()[key], value), key
    save_weights(tmp_path / "new.safetensors", saved.model, config, ["a", "b"], {"epoch": 3})
    assert same_weights(tmp_path / "new.safetensors", tmp_path / "w.safetensors")


def test_other_words_on_norms_stay_as_they_are(tmp_path: Path) -> None:
    config = Config(model=ModelConfig(image_size=(128, 128), width_mult=0.25))
    save_weights(tmp_path / "w.safetensors", build_model(config.model, 1), config, ["a"], {})
    saved = load_weights(age(tmp_path / "w.safetensors", "ssdlite-1", norms="refitted on 300"))
    assert saved.training == {"norms": "refitted on 300"}
    assert not saved.norms_folded


def test_a_backbone_of_format_1_is_read(tmp_path: Path) -> None:
    config = ModelConfig(width_mult=0.25)
    tensors = build_model(config, 1).backbone.state_dict(prefix="backbone.")
    save_backbone(tmp_path / "b.safetensors", SavedBackbone(tensors, config, {"source": "x"}))
    saved = load_any(age(tmp_path / "b.safetensors", "ssdlite-trunk-1"))
    assert isinstance(saved, SavedBackbone)
    assert saved.tensors.keys() == tensors.keys()
    assert (saved.config, saved.training) == (config, {"source": "x"})


@pytest.mark.parametrize("name", SHIPPED)
def test_the_weights_in_the_package_are_read_in_silence(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        saved = load_initial_weights(name)
    assert not caplog.records
    assert not isinstance(saved, SavedBackbone)
    assert not saved.norms_folded
    assert (saved.config.model.backbone, saved.config.model.neck) == ("mobilenet_v2", "none")


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("voc", "a1c4c6fe40417ca0aa691f08e5228e1dfb04d07b5353d04032bcb3655e5bc9b6"),
        ("coco", "6251e7f856dbd0f1b11e0603a33e8cb3c4f89bc94682fe502f162f663ec81a58"),
    ],
)
def test_the_tensors_in_the_package_are_those_that_were_measured(name: str, digest: str) -> None:
    content = SHIPPED[name].read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    assert hashlib.sha256(content[header:]).hexdigest() == digest


def test_the_recipe_of_the_shipped_weights_names_a_heading_that_exists() -> None:
    recipe = load_weights(SHIPPED["voc"]).training["recipe"]
    page, heading = recipe.partition("; see ")[2].split(", ")
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    assert f"## {heading}" in text.splitlines()


@pytest.mark.slow
def test_a_run_of_an_older_version_resumes_as_one_of_today(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = ("train.ema_decay=0.9", "train.keep_states=1", "data.val=null")
    train(run_config(*overrides, "train.epochs=1"), tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    (path,) = (tmp_path / "old").rglob("step-*.pt")
    state = torch.load(path, weights_only=True)
    config = state["config"]
    config["model.name"] = OLD_NAMES[config.pop("model.neck")]
    del config["model.backbone"]
    config["optim.trunk_lr"] = config.pop("optim.backbone_lr")
    config["augment.on_device"] = True
    config["number format"] = config.pop("autocast dtype")
    del state["version"]
    state["chance"] = state.pop("rng_state")
    model, average = old_keys(state["model"]), old_keys(state["ema"])
    assert any(key.startswith("trunk.") for key in model)
    assert any(key.startswith("module.trunk.") for key in average)
    torch.save({**state, "model": model, "ema": average}, path)
    written = tmp_path / "old" / "config.yaml"
    written.write_text(yaml.safe_dump(old_config(yaml.safe_load(written.read_text()))))
    for name, num_changed in (("new", 0), ("old", 1)):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            train(run_config(*overrides), tmp_path / name, resume=True)
        said = [line for line in caplog.messages if "augment.on_device is ignored now" in line]
        assert len(said) == num_changed
    assert same_weights(*(tmp_path / run / "last.safetensors" for run in ("old", "new")))
    assert read_log(tmp_path / "old") == read_log(tmp_path / "new")
    assert len(read_log(tmp_path / "old")) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model.name=ssdlite_fpn", "model.backbone=mobilenet_v2 and model.neck=fpn"),
        ("model.name=ssdlite_mobilenet_v2", "model.backbone=mobilenet_v2 and model.neck=none"),
        ("optim.trunk_lr=0.3", "optim.backbone_lr=0.3"),
        ("optim={trunk_lr: 0.3}", "optim.backbone_lr=0.3"),
    ],
)
def test_old_keys_are_accepted_with_a_warning_that_names_the_new(
    tmp_path: Path, old: str, new: str, caplog: pytest.LogCaptureFixture
) -> None:
    key, _, value = old.partition("=")
    expected = config_from_dict({}, [part.strip() for part in new.split(" and ")])
    assert config_from_dict({}, [old]) == expected
    assert caplog.messages == [f"warning: override {old}: {_old_key(old)} is now written {new}"]
    caplog.clear()
    section, _, name = key.rpartition(".")
    text = f"{section}: {{{name}: {value}}}" if section else f"{key}: {value}"
    (tmp_path / "run.yaml").write_text(text)
    assert load_config(tmp_path / "run.yaml") == expected
    where = tmp_path / "run.yaml"
    assert caplog.messages == [f"warning: {where}: {_old_key(old)} is now written {new}"]


def test_a_removed_key_is_ignored_with_a_warning_where_it_was_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, expected = tmp_path / "run.yaml", config_from_dict({"augment": {"preset": "ssd"}})
    for value in ("false", "true"):
        assert not caplog.messages
        path.write_text(f"augment: {{preset: ssd, on_device: {value}}}")
        assert load_config(path) == expected
    (message,) = caplog.messages
    assert message.startswith(f"warning: {path}: augment.on_device is ignored: ")
    assert load_config(path, ["augment.on_device=true"]) == expected


def _old_key(override: str) -> str:
    return "model.name" if override.startswith("model") else "optim.trunk_lr"


def test_what_is_laid_over_a_file_holds_by_old_and_new_names(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("model: {name: ssdlite_fpn}\noptim: {trunk_lr: 0.3}\n")
    run = tmp_path / "run.yaml"
    run.write_text("_base_: base.yaml\noptim: {backbone_lr: 0.5}\n")
    assert load_config(run).optim.backbone_lr == 0.5
    assert load_config(run).model.neck == "fpn"
    assert load_config(run, ["model.neck=none"]).model.neck == "none"
    run.write_text("_base_: base.yaml\nmodel: {neck: none}\n")
    assert load_config(run).model.neck == "none"
    assert load_config(run, ["model.name=ssdlite_fpn"]).model.neck == "fpn"
    both = {"optim": {"backbone_lr": 0.5, "trunk_lr": 0.3}}
    assert config_from_dict(both).optim.backbone_lr == 0.5


def test_an_old_key_with_a_value_that_never_was_is_one_line() -> None:
    for value in ("ssd", "[ssd]"):
        with pytest.raises(ConfigError, match=rf"override model\.name={re.escape(value)}: .*'ssd'"):
            config_from_dict({}, [f"model.name={value}"])
