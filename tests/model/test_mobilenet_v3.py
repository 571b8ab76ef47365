"""MobileNetV3-Large, against torchvision's, and as a backbone of the detector."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models import mobilenet_v3_large

from tests.detectors import decoded_by
from tests.reference_model import randomise
from vision.config import ModelConfig
from vision.model import MobileNetV3Large, build_model, fuse
from vision.model.layers import BlockStyle

NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)
SIZES = [(1.0, False), (1.0, True), (0.35, False)]


def torchvision_twin(width_mult: float, *, reduced_tail: bool) -> Any:  # noqa: ANN401
    """Torchvision's network in evaluation mode, with random weights and norm statistics."""
    twin = mobilenet_v3_large(
        num_classes=7, width_mult=width_mult, reduced_tail=reduced_tail, norm_layer=NORM
    )
    randomise(twin)
    return twin.eval()


def pictures(height: int, width: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_classifier_has_5483032_parameters() -> None:
    assert sum(value.numel() for value in MobileNetV3Large().parameters()) == 5_483_032


@pytest.mark.parametrize(("width_mult", "reduced_tail"), SIZES)
def test_keys_outputs_and_feature_maps_equal_torchvision(
    width_mult: float, *, reduced_tail: bool
) -> None:
    theirs = torchvision_twin(width_mult, reduced_tail=reduced_tail)
    ours = MobileNetV3Large(7, width_mult, reduced_tail=reduced_tail).eval()
    shapes = {key: value.shape for key, value in ours.state_dict().items()}
    assert shapes == {key: value.shape for key, value in theirs.state_dict().items()}
    ours.load_state_dict(theirs.state_dict())
    images = pictures(96, 64)
    with torch.no_grad():
        expected = theirs(images)
        assert expected.std() > 0.1
        assert_close(ours(images), expected, rtol=1e-5, atol=1e-5)
        maps = ours.feature_maps(images)
        stride8 = theirs.features[:7](images)
        stride16 = theirs.features[13].block[0](theirs.features[7:13](stride8))
        assert_close(maps.stride8, stride8, rtol=1e-5, atol=1e-5)
        assert_close(maps.stride16, stride16, rtol=1e-5, atol=1e-5)
        assert_close(maps.stride32, theirs.features(images), rtol=1e-5, atol=1e-4)
    assert tuple(level.shape[1] for level in maps) == ours.feature_channels
    assert [tuple(level.shape[2:]) for level in maps] == [(12, 8), (6, 4), (3, 2)]


def test_it_has_its_own_activations_whatever_the_style() -> None:
    modules = list(MobileNetV3Large(0, 0.25, BlockStyle(activation="relu6")).modules())
    assert not [module for module in modules if isinstance(module, nn.ReLU6)]
    assert sum(isinstance(module, nn.Hardswish) for module in modules) == 2 + 2 * 9
    assert sum(isinstance(module, nn.ReLU) for module in modules) == 1 + 2 * 5


def test_fused_it_gives_the_same_and_loads_into_the_one_without_norms() -> None:
    network = MobileNetV3Large(0, 0.25).eval()
    randomise(network)
    fused, bare = fuse(network), MobileNetV3Large(0, 0.25, BlockStyle("none")).eval()
    assert not [module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]
    bare.load_state_dict(fused.state_dict())
    images = pictures(64, 64)
    for mine, theirs in zip(bare.feature_maps(images), network.feature_maps(images), strict=True):
        assert theirs.std() > 0.01
        assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_the_detector_on_it_decodes_to_scores_and_boxes() -> None:
    values = {"backbone": "mobilenet_v3_large", "image_size": 128, "width_mult": 0.25}
    model = build_model(ModelConfig.model_validate(values), 2).eval()
    randomise(model)
    images = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8)
    with torch.inference_mode():
        logits = model(images).logits
        boxes, scores = decoded_by(model, images)
    assert boxes.shape == (1, len(model.priors), 4)
    assert_close(scores, logits.softmax(dim=-1)[..., :-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("preset", "backbone", "message"),
    [
        ("tensorflow", "mobilenet_v3_large", "tensorflow is a variant of mobilenet_v2"),
        ("torchvision_ssdlite", "mobilenet_v2", "ssdlite is a variant of mobilenet_v3_large"),
    ],
)
def test_presets_of_another_backbone_are_refused(preset: str, backbone: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.model_validate({"preset": preset, "backbone": backbone})
