"""The backbone, against torchvision's MobileNetV2 and the paper's table 2."""

from functools import partial
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.testing import assert_close

from tests.reference_model import randomise
from vision.config import WIDTH_MULTS
from vision.model import MobileNetV2, fuse
from vision.model.layers import BlockStyle

NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)


def torchvision_twin(width_mult: float = 1.0, num_classes: int = 1000, seed: int = 0) -> Any:  # noqa: ANN401
    """Torchvision's network in evaluation mode, with random weights and norm statistics."""
    twin = torchvision.models.mobilenet_v2(
        num_classes=num_classes, width_mult=width_mult, norm_layer=NORM
    )
    randomise(twin, seed)
    return twin.eval()


def pictures(height: int, width: int, count: int = 1) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_classifier_has_3504872_parameters() -> None:
    assert sum(value.numel() for value in MobileNetV2().parameters()) == 3_504_872


def test_backbone_has_the_classifiers_keys_without_its_last_layer() -> None:
    classifier, backbone = MobileNetV2(10).state_dict(), MobileNetV2(0).state_dict()
    assert set(classifier) - set(backbone) == {"classifier.1.weight", "classifier.1.bias"}
    assert set(backbone) <= set(classifier)


@pytest.mark.parametrize("width_mult", WIDTH_MULTS)
def test_forward_equals_torchvision_at_every_width(width_mult: float) -> None:
    theirs = torchvision_twin(width_mult, num_classes=10)
    ours = MobileNetV2(10, width_mult).eval()
    ours.load_state_dict(theirs.state_dict())
    images = pictures(96, 64, count=2)
    expected = theirs(images)
    assert 0.1 < expected.std() < 100
    assert_close(ours(images), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("width_mult", [0.35, 1.0])
def test_feature_maps_equal_torchvision(width_mult: float) -> None:
    theirs = torchvision_twin(width_mult)
    ours = MobileNetV2(0, width_mult).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    features = pictures(96, 64)
    maps = ours.feature_maps(features)
    for block in theirs.features[:7]:
        features = block(features)
    stride8 = features
    for block in theirs.features[7:14]:
        features = block(features)
    expansion = theirs.features[14].conv[0](features)
    last = theirs.features[14:](features)
    assert maps.stride16.std() > 0.1
    assert maps.stride32.std() > 0.1
    assert_close(maps.stride8, stride8, rtol=1e-5, atol=1e-5)
    assert_close(maps.stride16, expansion, rtol=1e-5, atol=1e-5)
    assert_close(maps.stride32, last, rtol=1e-5, atol=1e-4)
    assert ours.feature_channels == (stride8.shape[1], expansion.shape[1], last.shape[1])


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_feature_maps_at_320_pixels_are_of_40_20_and_10_cells_a_side(norm: str) -> None:
    """Without BatchNorm the second level stays the expansion, before the stride."""
    backbone = MobileNetV2(0, style=BlockStyle(norm)).eval()  # type: ignore[arg-type]
    maps = backbone.feature_maps(pictures(320, 320))
    assert maps.stride8.shape == (1, 32, 40, 40)
    assert maps.stride16.shape == (1, 576, 20, 20)
    assert maps.stride32.shape == (1, 1280, 10, 10)
    assert backbone.feature_channels == (32, 576, 1280)


def test_stages_are_the_papers_table_2() -> None:
    """(channels, side) of each stage's last map for an image of 224 x 224 pixels."""
    features = pictures(224, 224)
    found = []
    for block in MobileNetV2(0).eval().features:
        features = block(features)
        found.append((features.shape[1], features.shape[2]))
    stages = [found[index] for index in (0, 1, 3, 6, 10, 13, 16, 17, 18)]
    assert stages == [
        (32, 112),
        (16, 112),
        (24, 56),
        (32, 28),
        (64, 14),
        (96, 14),
        (160, 7),
        (320, 7),
        (1280, 7),
    ]
    assert len(found) == 1 + 17 + 1


def test_classifier_costs_the_papers_300_million_multiplications() -> None:
    counts = []

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        counts.append(layer.weight[0].numel() * output.numel())

    network = MobileNetV2().to("meta").eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(torch.empty(1, 3, 224, 224, device="meta"))
    assert round(sum(counts) / 1e6) == 301


@pytest.mark.parametrize(
    ("width_mult", "last"), [(0.25, 1280), (0.5, 1280), (1.0, 1280), (1.3, 1664), (1.4, 1792)]
)
def test_last_convolution_widens_but_never_narrows(width_mult: float, last: int) -> None:
    assert MobileNetV2(0, width_mult).feature_channels[2] == last


@pytest.mark.parametrize(("num_classes", "expected"), [(0, 1280), (1, 1), (7, 7)])
@pytest.mark.parametrize("size", [(32, 32), (75, 130)])
def test_classifier_takes_any_number_of_classes_and_any_size(
    num_classes: int, expected: int, size: tuple[int, int]
) -> None:
    assert MobileNetV2(num_classes).eval()(pictures(*size)).shape == (1, expected)


def test_dropout_acts_while_training_alone() -> None:
    features = torch.ones(1, 1280)
    for dropout, zeroed in ((0.0, 0.0), (0.2, 0.2), (0.9, 0.9)):
        classifier = MobileNetV2(5, dropout=dropout).classifier
        assert isinstance(classifier, nn.Sequential)
        layer = classifier[0]
        share = (layer(features.expand(50, -1)) == 0).float().mean().item()
        assert share == pytest.approx(zeroed, abs=0.02)
        assert torch.equal(layer.eval()(features), features)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_initialised_normal_003_with_zero_biases_in_every_layer(norm: str) -> None:
    torch.manual_seed(0)
    layers = [
        module
        for module in MobileNetV2(100, style=BlockStyle(norm)).modules()  # type: ignore[arg-type]
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    assert len(layers) == 53
    for layer in layers:
        error = 5 * 0.03 / (2 * layer.weight.numel()) ** 0.5
        assert layer.weight.std().item() == pytest.approx(0.03, abs=error)
        assert layer.bias is None or not layer.bias.any()


def test_norm_none_leaves_no_batch_norm_anywhere_and_biases_every_convolution() -> None:
    """The stem too, so that a fused state dict has a place for each bias."""
    modules = list(MobileNetV2(10, style=BlockStyle("none")).modules())
    assert not [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 52
    assert all(conv.bias is not None for conv in convolutions)


def test_activation_relu_leaves_no_relu6_anywhere() -> None:
    modules = list(MobileNetV2(10, style=BlockStyle(activation="relu")).modules())
    assert not [module for module in modules if isinstance(module, nn.ReLU6)]
    twin = list(MobileNetV2(10).modules())
    assert sum(isinstance(module, nn.ReLU) for module in modules) == 35
    assert sum(isinstance(module, nn.ReLU6) for module in twin) == 35


@pytest.mark.parametrize("width_mult", [0.25, 1.0])
def test_fused_classifier_gives_the_same_outputs(width_mult: float) -> None:
    network = MobileNetV2(10, width_mult).eval()
    randomise(network)
    images = pictures(96, 64, count=2)
    expected, maps = network(images), network.feature_maps(images)
    fused = fuse(network)
    assert isinstance(fused, MobileNetV2)
    assert 0.1 < expected.std() < 10
    assert (fused(images) - expected).abs().max() < 1e-4
    for mine, theirs in zip(fused.feature_maps(images), maps, strict=True):
        assert 0.1 < theirs.std() < 10
        assert (mine - theirs).abs().max() < 1e-4


def test_fused_state_dict_loads_into_the_network_without_norms() -> None:
    network = MobileNetV2(10, 0.35)
    randomise(network)
    fused = fuse(network)
    bare = MobileNetV2(10, 0.35, style=BlockStyle("none")).eval()
    bare.load_state_dict(fused.state_dict())
    bare.to(memory_format=torch.channels_last)
    images = pictures(64, 64)
    assert torch.equal(bare(images), fused(images))
