"""The weights file: an exact round trip, and an error of one line for each way to fail."""

import copy
import functools
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.reference_model import randomise
from vision.config import Config, ModelConfig, PriorsConfig
from vision.errors import WeightsError
from vision.model import SSDLite, build_model
from vision.weights import load_weights, save_weights

CONFIG = Config(
    model=ModelConfig(image_size=(128, 160), width_mult=0.25, priors=PriorsConfig(min_scale=0.1))
)
NAMES = ["traffic light", "Katze", "猫"]
TRAINING = {"epoch": 7, "metrics": {"map": 0.25}, "best": None}


@functools.cache
def built() -> SSDLite:
    return build_model(CONFIG.model, len(NAMES)).eval()


def network(seed: int = 0) -> SSDLite:
    model = copy.deepcopy(built())
    randomise(model, seed)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file; to be read, not written."""
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    save_weights(path, network(), CONFIG, NAMES, TRAINING)
    return path


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, 3, 128, 160), generator=generator, dtype=torch.uint8)


def metadata_of(path: Path) -> dict[str, str]:
    """As any program reads it."""
    with safetensors.safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata()
        return metadata


def message_of(path: str | Path) -> str:
    """The error of a file that cannot be used; one line that names the file."""
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@torch.no_grad()
def test_round_trip_gives_bit_equal_outputs(saved: Path, images: Tensor) -> None:
    found = load_weights(saved)
    expected = network()(images)
    assert expected.logits.std() > 0.1
    predictions = found.model(images)
    assert torch.equal(predictions.logits, expected.logits)
    assert torch.equal(predictions.offsets, expected.offsets)
    assert torch.equal(found.model.priors, network().priors)


def test_round_trip_keeps_configuration_names_and_training(saved: Path) -> None:
    found = load_weights(str(saved))
    assert found.config == CONFIG
    assert found.names == NAMES
    assert found.training == TRAINING
    assert not found.model.training


@pytest.mark.slow
def test_training_goes_on_bit_equal_from_a_loaded_file(saved: Path, images: Tensor) -> None:
    """Norm statistics and counters come back too."""
    states = [model.train()(images).logits for model in (network(), load_weights(saved).model)]
    assert torch.equal(*states)
    before, after = network().state_dict(), load_weights(saved).model.state_dict()
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(after[key], value)
        assert after[key].dtype == value.dtype


def test_normalisation_comes_from_the_file(tmp_path: Path) -> None:
    model = network()
    model.pixel_mean.fill_(100.0)
    save_weights(tmp_path / "a.safetensors", model, CONFIG, NAMES, {})
    assert bool((load_weights(tmp_path / "a.safetensors").model.pixel_mean == 100).all())


def test_metadata_are_readable_without_this_package(saved: Path) -> None:
    metadata = metadata_of(saved)
    assert metadata["format"] == "ssdlite-2"
    assert json.loads(metadata["names"]) == NAMES
    assert json.loads(metadata["training"]) == TRAINING
    assert json.loads(metadata["config"])["model"]["image_size"] == [128, 160]
    preprocessing = json.loads(metadata["preprocessing"])
    assert preprocessing["channels"] == "RGB"
    assert preprocessing["image_size"] == [128, 160]
    assert preprocessing["mean"] == preprocessing["std"] == [127.5] * 3


def test_tensors_are_readable_without_this_package(saved: Path) -> None:
    tensors, expected = load_file(saved), network().state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[key], value) for key, value in expected.items())


def test_saving_again_writes_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "again.safetensors"
    save_weights(path, network(), CONFIG, NAMES, TRAINING)
    # The order of the metadata is safetensors' own affair.
    assert metadata_of(path) == metadata_of(saved)
    assert path.stat().st_size == saved.stat().st_size


def test_saving_replaces_an_older_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_weights(path, network(), CONFIG, NAMES, {"epoch": 1})
    save_weights(path, network(seed=1), CONFIG, NAMES, {"epoch": 2})
    assert load_weights(path).training == {"epoch": 2}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="permissions as POSIX has them")
def test_weights_can_be_read_by_whom_other_files_can(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", network(), CONFIG, NAMES, {})
    (tmp_path / "other").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_older_file_stays_intact_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    save_weights(path, network(), CONFIG, NAMES, {"epoch": 1})
    before = path.read_bytes()

    def full_disk(target: Path, _content: bytes) -> None:
        with target.open("wb") as file:
            file.write(before[:1000])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(WeightsError, match=r"cannot be written \(no space"):
        save_weights(path, network(seed=1), CONFIG, NAMES, {"epoch": 2})
    assert path.read_bytes() == before
    assert load_weights(path).training == {"epoch": 1}


def test_older_file_stays_intact_when_the_metadata_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_weights(path, network(), CONFIG, NAMES, {"epoch": 1})
    with pytest.raises(TypeError):
        save_weights(path, network(), CONFIG, NAMES, {"epoch": object()})
    assert load_weights(path).training == {"epoch": 1}


def test_missing_file(tmp_path: Path) -> None:
    assert "such as hf://user/name, or" in message_of(tmp_path / "nothing.safetensors")


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    message_of(tmp_path)


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def write_checkpoint(path: Path, content: object) -> None:
    torch.save(content, path)


def write_pickle(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("write", [write_checkpoint, write_pickle])
@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_pickle_is_refused_and_never_unpickled(
    tmp_path: Path, write: Callable[[Path, object], None], name: str
) -> None:
    trap, path = tmp_path / "sprung", tmp_path / name
    write(path, {"weights": Trap(trap)})
    assert "safetensors" in message_of(path)
    assert not trap.exists()
    # The control: the trap does work.
    if write is write_checkpoint:
        with path.open("rb") as file:
            torch.load(file, weights_only=False)
    else:
        pickle.loads(path.read_bytes())  # noqa: S301
    assert trap.exists()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, 5000, -1])
def test_truncated_file(saved: Path, tmp_path: Path, length: int) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(saved.read_bytes()[:length])
    assert "cannot be read as safetensors" in message_of(path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff" * 64, id="a header longer than the file"),
        pytest.param(struct.pack("<Q", 4) + b"\xff\xfe\x00\x00", id="a header that is no text"),
        pytest.param(struct.pack("<Q", 2) + b"[]", id="a header that is no object"),
        pytest.param(b"<html>not found</html>", id="a web page"),
    ],
)
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    assert "cannot be read as safetensors" in message_of(path)


@pytest.mark.parametrize(
    ("name", "pickled", "said"),
    [
        ("yolov8n.pt", None, "another network (YOLO, by Ultralytics) and cannot be loaded"),
        ("yolo11x-seg.pt", None, "another network (YOLO, by Ultralytics)"),
        ("best.pt", b"cultralytics.nn.tasks\nDetectionModel", "network (YOLO, by Ultralytics)"),
        ("best.pt", b"ctorch._utils", "an SSDLite of another project, convert it with ssdlite"),
    ],
)
def test_files_of_other_projects(
    tmp_path: Path, name: str, pickled: bytes | None, said: str
) -> None:
    """Those whose name tells need not be there."""
    if pickled is not None:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("best/data.pkl", pickled)
    assert said in message_of(tmp_path / name)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {"format": "ssdlite-0"}])
def test_foreign_file(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata)
    assert "not written by ssdlite" in message_of(path)


def change_metadata(saved: Path, path: Path, changes: Mapping[str, str | None]) -> None:
    """Sound metadata with entries changed, or taken out where None; they are read first."""
    entries = {**metadata_of(saved), **changes}
    kept = {key: value for key, value in entries.items() if value is not None}
    save_file({"weight": torch.zeros(2)}, path, kept)


def change_tensors(saved: Path, path: Path, changes: Mapping[str, Tensor | None]) -> None:
    """A sound file with tensors changed, or taken out where None."""
    tensors = {**load_file(saved), **changes}
    kept = {key: value for key, value in tensors.items() if value is not None}
    save_file(kept, path, metadata_of(saved))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"names": None}, "names", id="no names"),
        pytest.param({"config": None}, "config", id="no configuration"),
        pytest.param({"training": None}, "training", id="no training"),
        pytest.param({"names": "[1, 2"}, "damaged", id="names cut short"),
        pytest.param({"names": "3"}, "names", id="names are a number"),
        pytest.param({"names": '"abc"'}, "names", id="names are a word as long as the list"),
        pytest.param({"names": "[1, 2, 3]"}, "names", id="names are numbers"),
        pytest.param({"names": '{"a": 0, "b": 1, "c": 2}'}, "names", id="names are a mapping"),
        pytest.param({"training": "[]"}, "training", id="training is a list"),
        pytest.param({"config": "{"}, "damaged", id="configuration cut short"),
        pytest.param({"config": "[]"}, "config", id="configuration is a list"),
        pytest.param({"config": "null"}, "config", id="configuration is null"),
    ],
)
def test_damaged_metadata(
    saved: Path, tmp_path: Path, changes: dict[str, str | None], said: str
) -> None:
    path = tmp_path / "damaged.safetensors"
    change_metadata(saved, path, changes)
    assert said in message_of(path)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param({"width_mult": 0.9}, ["model.width_mult"], id="a value no longer allowed"),
        pytest.param({"depth": 3}, ["model.depth"], id="a key no longer known"),
        pytest.param(
            {"width_mult": 0.9, "depth": 3}, ["model.width_mult", "model.depth"], id="several"
        ),
    ],
)
def test_configuration_inside_that_is_no_longer_valid(
    saved: Path, tmp_path: Path, model: dict[str, Any], said: list[str]
) -> None:
    values = json.loads(metadata_of(saved)["config"])
    values["model"].update(model)
    path = tmp_path / "old.safetensors"
    change_metadata(saved, path, {"config": json.dumps(values)})
    message = message_of(path)
    assert all(key in message for key in said)


def test_missing_unknown_and_misshaped_tensors_are_listed(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    stem = "backbone.features.0.0.weight"
    changes = {"pixel_mean": None, "surplus": torch.zeros(1), stem: torch.zeros(2, 3, 3, 3)}
    change_tensors(saved, path, changes)
    message = message_of(path)
    assert "missing pixel_mean" in message
    assert "unknown surplus" in message
    assert f"{stem} has the shape (2, 3, 3, 3), not (8, 3, 3, 3)" in message


def test_names_of_another_number_than_the_heads_classes(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file(load_file(saved), path, metadata_of(saved) | {"names": '["a", "b"]'})
    assert "class_heads.0.1.weight has the shape" in message_of(path)


def test_a_count_of_names_is_compared_before_it_takes_memory(saved: Path, tmp_path: Path) -> None:
    """A hundred thousand classes would be heads of a gigabyte."""
    path = tmp_path / "other.safetensors"
    names = json.dumps([f"{number}" for number in range(100_000)])
    save_file(load_file(saved), path, metadata_of(saved) | {"names": names})
    assert "class_heads.0.1.weight has the shape" in message_of(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(saved: Path, tmp_path: Path, value: float) -> None:
    path = tmp_path / "other.safetensors"
    stem = "backbone.features.0.0.weight"
    change_tensors(saved, path, {stem: torch.full((8, 3, 3, 3), value)})
    assert f"NaN or infinite values, in 1 tensors (first: {stem})" in message_of(path)
