"""The detector network: shapes, channels, counts, preprocessing, fusion."""

import copy
import functools
import itertools
import math
from typing import Any, Literal, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tests.reference_model import randomise
from vision.config import WIDTH_MULTS, LossConfig, ModelConfig, PostProcessConfig, PriorsConfig
from vision.model import (
    BACKBONES,
    MobileNetV2,
    MultiBoxLoss,
    PriorLayout,
    SSDLite,
    build_loss,
    build_model,
    build_post_process,
    fuse,
    prior_boxes,
)
from vision.model.layers import BlockStyle
from vision.structures import Predictions

SIDES = [*range(128, 641, 32), 300]


def build(
    size: int | tuple[int, int] = 128,
    num_classes: int = 2,
    norm: Literal["batch", "none"] = "batch",
    **values: Any,  # noqa: ANN401
) -> SSDLite:
    """A network in evaluation mode; a narrow one unless ``width_mult`` says otherwise."""
    sides = (size, size) if isinstance(size, int) else size
    config = ModelConfig(image_size=sides, **({"width_mult": 0.25} | values))
    return copy.deepcopy(built(config, num_classes, norm))


@functools.lru_cache(maxsize=4)
def built(config: ModelConfig, num_classes: int, norm: Literal["batch", "none"]) -> SSDLite:
    """The same network each time: building one takes a while."""
    return build_model(config, num_classes, norm).eval()


def random_network(norm: Literal["batch", "none"] = "batch", **values: Any) -> SSDLite:  # noqa: ANN401
    network = build(norm=norm, **values)
    randomise(network)
    return network


def pictures(size: tuple[int, int], count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, *size), generator=generator, dtype=torch.uint8)


def halved(side: int, times: int) -> int:
    """Side of a map after so many strides of 2, each rounding up."""
    return side if times == 0 else halved(math.ceil(side / 2), times - 1)


@torch.no_grad()
def predict(network: SSDLite, images: Tensor) -> Predictions:
    predictions: Predictions = network(images)
    return predictions


@pytest.mark.parametrize(
    ("image_size", "count"), [((320, 320), 3234), ((300, 300), 3000), ((128, 256), 1032)]
)
def test_as_many_predictions_as_priors(image_size: tuple[int, int], count: int) -> None:
    network = build(image_size, num_classes=5)
    predictions = predict(network, pictures(image_size, count=2))
    assert network.priors.shape == (count, 4)
    assert predictions.logits.shape == (2, count, 6)
    assert predictions.offsets.shape == (2, count, 4)


def test_parameters_are_counted_for_20_classes() -> None:
    network = build(320, num_classes=20, width_mult=1.0)
    assert sum(value.numel() for value in network.parameters()) == 3_399_108


def test_levels_at_320_pixels() -> None:
    network = build(320, width_mult=1.0)
    assert network.map_sizes == [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
    with torch.no_grad():
        shapes = [tuple(level.shape) for level in network.levels(pictures((320, 320)))]
    assert shapes == [
        (1, 576, 20, 20),
        (1, 1280, 10, 10),
        (1, 512, 5, 5),
        (1, 256, 3, 3),
        (1, 256, 2, 2),
        (1, 128, 1, 1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("size", [*itertools.pairwise(SIDES)][::2], ids=str)
def test_every_supported_height_and_width_run_and_their_maps_are_measured(
    size: tuple[int, int],
) -> None:
    """Heights differ from widths; squares are below."""
    network = build(size)
    assert network.map_sizes == [
        (halved(size[0], times), halved(size[1], times)) for times in (4, 5, 6, 7, 8, 9)
    ]
    assert torch.equal(network.priors, prior_boxes(network.map_sizes))
    predictions = predict(network, pictures(size))
    assert predictions.logits.shape == (1, len(network.priors), 3)
    assert predictions.offsets.shape == (1, len(network.priors), 4)


@pytest.mark.slow
@pytest.mark.parametrize("width_mult", WIDTH_MULTS)
@pytest.mark.parametrize("side", [224, 300, 320, 512])
def test_every_width_multiplier_runs_at_every_size(width_mult: float, side: int) -> None:
    """Heads take their channels from the backbone, whatever its width."""
    network = build(side, width_mult=width_mult)
    predictions = predict(network, pictures((side, side)))
    count = 6 * sum(halved(side, times) ** 2 for times in (4, 5, 6, 7, 8, 9))
    assert predictions.logits.shape == (1, count, 3)
    assert bool(predictions.logits.isfinite().all())
    assert bool(predictions.offsets.isfinite().all())


def test_first_level_is_the_expansion_of_block_14_and_the_second_the_last_map() -> None:
    network = random_network()
    images = pictures((128, 128))
    first, second, third, *_ = network.levels(images)
    maps = network.backbone.feature_maps((images - 127.5) / 127.5)
    assert torch.equal(first, maps.stride16)
    assert torch.equal(second, maps.stride32)
    assert torch.equal(third, network.extras[0](second))


@pytest.mark.parametrize("activation", ["relu6", "relu"])
def test_extras_end_in_an_activation(activation: str) -> None:
    network = random_network(activation=activation)
    with torch.no_grad():
        for parameter in network.extras.parameters():
            parameter.mul_(10)
        extras = network.levels(pictures((128, 128)))[2:]
    assert [level.shape[1] for level in extras] == [512, 256, 256, 128]
    assert all(level.min() == 0 for level in extras)
    if activation == "relu6":
        assert [level.max().item() for level in extras] == [6] * 4
    else:
        assert all(level.max() > 6 for level in extras)


def test_every_head_is_depthwise_3x3_and_then_1x1_the_last_one_too() -> None:
    network = build(num_classes=7, width_mult=1.0)
    for heads, values in ((network.class_heads, 8), (network.box_heads, 4)):
        convolutions = [
            [module for module in head.modules() if isinstance(module, nn.Conv2d)] for head in heads
        ]
        channels = [depthwise.in_channels for depthwise, _ in convolutions]
        assert channels == [576, 1280, 512, 256, 256, 128]
        for depthwise, pointwise in convolutions:
            assert depthwise.groups == depthwise.in_channels
            assert depthwise.kernel_size == (3, 3)
            assert pointwise.kernel_size == (1, 1)
            assert pointwise.out_channels == 6 * values


@pytest.mark.parametrize("level", range(6))
def test_predictions_come_in_the_row_order_of_the_priors(level: int) -> None:
    """Each cell says where it is; its six priors must lie there."""

    class Compass(nn.Module):
        """Column and row of each cell in place of its first two offsets, and prior as third."""

        def forward(self, features: Tensor) -> Tensor:
            _, _, height, width = features.shape
            outputs = torch.zeros(6, 4, height, width)
            outputs[:, 0] = torch.arange(width)
            outputs[:, 1] = torch.arange(height)[:, None]
            outputs[:, 2] = torch.arange(6)[:, None, None]
            return outputs.reshape(1, 24, height, width)

    network = build((128, 192))
    network.box_heads[level] = Compass()
    offsets = predict(network, pictures((128, 192))).offsets[0]
    sizes = [height * width * 6 for height, width in network.map_sizes]
    rows = slice(sum(sizes[:level]), sum(sizes[: level + 1]))
    height, width = network.map_sizes[level]
    found, priors = offsets[rows], network.priors[rows]
    assert_close((found[:, :2] + 0.5) / torch.tensor([width, height]), priors[:, :2])
    assert found[:, 2].tolist() == list(range(6)) * (height * width)


def test_pixels_from_0_to_255_reach_the_backbone_from_minus_1_to_1() -> None:
    network = build()
    seen: list[Tensor] = []
    assert isinstance(network.backbone, MobileNetV2)
    network.backbone.features[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images = torch.full((1, 3, 128, 128), 255, dtype=torch.uint8)
    images[:, :, 64:] = 0
    predict(network, images)
    assert seen[0].dtype == torch.float32
    assert bool((seen[0][:, :, :64] == 1).all())
    assert bool((seen[0][:, :, 64:] == -1).all())


def test_uint8_and_floating_images_give_the_same() -> None:
    network, images = random_network(), pictures((128, 128))
    integer, floating = predict(network, images), predict(network, images.float())
    assert torch.equal(integer.logits, floating.logits)
    assert torch.equal(integer.offsets, floating.offsets)


def test_normalisation_is_saved_with_the_weights_and_priors_are_not() -> None:
    keys = build().state_dict().keys()
    assert {"pixel_mean", "pixel_std"} <= keys
    assert "priors" not in keys


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    network, images = random_network(), pictures((128, 128), count=3)
    together = predict(network, images).logits
    assert together.std() > 0.1
    for index in range(3):
        alone = predict(network, images[index : index + 1]).logits
        assert_close(alone[0], together[index], rtol=1e-4, atol=1e-5)


def test_initialised_normal_003_with_zero_biases_in_every_layer() -> None:
    torch.manual_seed(0)
    layers = [module for module in build().modules() if isinstance(module, nn.Conv2d)]
    # 52 in the backbone, 3 in each of 4 extra layers, 2 in each of 12 heads.
    assert len(layers) == 52 + 12 + 24
    for layer in layers:
        error = 5 * 0.03 / (2 * layer.weight.numel()) ** 0.5
        assert layer.weight.std().item() == pytest.approx(0.03, abs=error)
        assert layer.bias is None or not layer.bias.any()


def test_norms_have_eps_1e_3_and_momentum_003_in_every_layer() -> None:
    norms = [module for module in build().modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 52 + 12 + 12
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}


def test_norm_none_leaves_no_batch_norm_in_backbone_extras_or_heads() -> None:
    network = build(norm="none")
    assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert all(conv.bias is not None for conv in convolutions)
    assert network.map_sizes == build().map_sizes
    assert network.backbone.feature_channels == build().backbone.feature_channels


@pytest.mark.parametrize(("activation", "absent"), [("relu", nn.ReLU6), ("relu6", nn.ReLU)])
def test_activation_reaches_backbone_extras_and_heads(
    activation: str, absent: type[nn.Module]
) -> None:
    network = build(activation=activation)
    activations = [module for module in network.modules() if isinstance(module, nn.ReLU | nn.ReLU6)]
    assert len(activations) == 35 + 12 + 12
    assert not [module for module in activations if isinstance(module, absent)]


@pytest.mark.parametrize("values", [{}, {"width_mult": 1.0}, {"activation": "relu"}])
def test_fused_detector_gives_the_same_outputs(values: dict[str, Any]) -> None:
    network, images = random_network(**values), pictures((128, 128), count=2)
    expected, levels = predict(network, images), network.levels(images)
    fused = fuse(network)
    assert isinstance(fused, SSDLite)
    assert not [module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]
    found = predict(fused, images)
    pairs = [*zip(found, expected, strict=True), *zip(fused.levels(images), levels, strict=True)]
    assert len(pairs) == 2 + 6
    for mine, theirs in pairs:
        assert 0.1 < theirs.std() < 10
        assert (mine - theirs).abs().max() < 1e-4


def test_fused_state_dict_loads_into_the_network_without_norms() -> None:
    fused, bare = fuse(random_network()), build(norm="none")
    bare.load_state_dict(fused.state_dict())
    bare.to(memory_format=torch.channels_last)
    images = pictures((128, 128))
    for mine, theirs in zip(predict(bare, images), fused(images), strict=True):
        assert torch.equal(mine, theirs)


def test_fusing_leaves_the_original_as_it_was() -> None:
    network = random_network().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fused = fuse(network)
    assert network.training
    assert not fused.training
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_builders_hand_over_what_the_configuration_says() -> None:
    config = ModelConfig(
        image_size=(160, 128),
        width_mult=0.5,
        activation="relu",
        priors=PriorsConfig(min_scale=0.1, max_scale=0.8),
        postprocess=PostProcessConfig(
            score_threshold=0.3, nms_iou=0.6, max_candidates=50, max_detections=7
        ),
    )
    network = build_model(config, 3)
    assert network.image_size == (160, 128)
    assert network.num_classes == 3
    assert isinstance(network.backbone, MobileNetV2)
    assert network.backbone.feature_channels == MobileNetV2(0, 0.5).feature_channels
    assert torch.equal(network.priors, prior_boxes(network.map_sizes, PriorLayout(0.1, 0.8)))

    post_process = build_post_process(config)
    found = {name: getattr(post_process, name) for name in config.postprocess.model_dump()}
    assert found == config.postprocess.model_dump()

    settings = LossConfig(match_iou=0.4, negative_ratio=2.0, min_negatives=5)
    loss = build_loss(settings, network)
    assert isinstance(loss, MultiBoxLoss)
    assert {name: getattr(loss, name) for name in settings.model_dump()} == settings.model_dump()
    assert torch.equal(loss.priors, network.priors)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_builds_and_says_its_channels(name: str) -> None:
    backbone = BACKBONES[name](0, 0.25, BlockStyle()).eval()
    maps = backbone.feature_maps(torch.zeros(1, 3, 64, 96))
    assert tuple(level.shape[1] for level in maps) == tuple(backbone.feature_channels)
    assert [tuple(level.shape[2:]) for level in maps] == [(8, 12), (4, 6), (2, 3)]
    parameters = {id(value) for stage in backbone.stages() for value in stage.parameters()}
    assert parameters == {id(value) for value in backbone.parameters()}


def test_every_backbone_can_be_configured() -> None:
    assert set(get_args(ModelConfig.model_fields["backbone"].annotation)) == set(BACKBONES)
