"""The rows that classes have in the heads of any network."""

import pytest
import torch

from tests.reference_model import randomise
from vision.config import ModelConfig
from vision.model import BACKBONES, SSDLite, build_model
from vision.weights.class_rows import by_class, class_keys, select_classes


def detector(backbone: str, neck: str = "none", preset: str = "ssdlite") -> SSDLite:
    values = {"backbone": backbone, "neck": neck, "preset": preset, "width_mult": 0.25}
    size = 300 if preset == "qfgaohao" else 128
    model = build_model(ModelConfig.model_validate({**values, "image_size": size}), 3).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("neck", ["none", "fpn"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_class_rows_are_found_in_every_network(backbone: str, neck: str) -> None:
    keys = class_keys(detector(backbone, neck))
    levels = 7 if neck == "fpn" else 6
    names = [
        f"class_heads.{level}.1.{part}" for level in range(levels) for part in ("weight", "bias")
    ]
    assert keys == names


def test_a_last_head_of_one_convolution_has_class_rows_too() -> None:
    keys = class_keys(detector("mobilenet_v2", preset="qfgaohao"))
    assert keys[-4:] == [
        "class_heads.4.1.weight",
        "class_heads.4.1.bias",
        "class_heads.5.weight",
        "class_heads.5.bias",
    ]


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ("backbone", "labels"),
    [("mobilenet_v2", [2, 0, 1]), ("mobilenet_v2", [1]), ("mobilenet_v3_large", [2, 0])],
)
def test_selected_classes_answer_as_they_did(backbone: str, labels: list[int]) -> None:
    full = detector(backbone)
    values = {"backbone": backbone, "width_mult": 0.25, "image_size": 128}
    other = build_model(ModelConfig.model_validate(values), len(labels)).eval()
    other.load_state_dict(select_classes(full, labels))
    images = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8)
    expected, found = full(images), other(images)
    assert torch.equal(found.offsets, expected.offsets)
    torch.testing.assert_close(found.logits, expected.logits[..., [*labels, 3]])


def test_rows_by_class_are_a_view() -> None:
    rows = torch.arange(24.0).reshape(12, 2)
    view = by_class(rows, 3)
    assert view.shape == (3, 4, 2)
    view[:, 1] = 0
    assert rows[:, 0].tolist() == [0, 0, 4, 6, 8, 0, 12, 14, 16, 0, 20, 22]
