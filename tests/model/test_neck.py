"""The feature pyramid, and the networks that have it."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.detectors import decoded_by
from tests.reference_model import randomise
from vision.config import ModelConfig
from vision.model import build_model
from vision.model.count import count_macs
from vision.model.layers import BlockStyle
from vision.model.neck import FeaturePyramid

FPN = ModelConfig(neck="fpn")
SIGMOID = ModelConfig(neck="fpn", scores="sigmoid")


def maps(*sides: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 4 + side, side, side, generator=generator) for side in sides]


def plain_sums(pyramid: FeaturePyramid) -> None:
    """Let each 1x1 sum its channels, and other layers pass the mean of both channels on."""
    with torch.no_grad():
        for name, weight in pyramid.named_parameters():
            weight.zero_()
            if weight.ndim == 4 and weight.shape[2] > 1:
                weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] = 1
            elif weight.ndim == 4:
                weight.fill_(1.0 if name.startswith("lateral") else 0.5)


@pytest.mark.parametrize("sides", [(8, 4, 2, 1), (5, 3, 2), (10, 5, 3)])
def test_a_map_is_the_sum_of_its_own_and_the_coarser_ones(sides: tuple[int, ...]) -> None:
    """By nearest neighbours, also from 2 cells to 3 and from 3 to 5."""
    levels = maps(*sides)
    pyramid = FeaturePyramid([level.shape[1] for level in levels], 2, BlockStyle("none"))
    plain_sums(pyramid)
    joined = pyramid(levels)
    assert [tuple(level.shape) for level in joined] == [(2, 2, side, side) for side in sides]
    for index in range(len(sides)):
        coarser = torch.zeros(2, 1, 1)
        for level in reversed(levels[index:]):
            own = level.sum(dim=1)
            cells = torch.arange(own.shape[1]) * coarser.shape[1] // own.shape[1]
            coarser = own + coarser[:, cells][:, :, cells]
        for channel in range(2):
            assert_close(joined[index][:, channel], coarser.clamp(0, 6), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_it_costs_at_most_an_eighth_more() -> None:
    plain = count_macs(build_model(ModelConfig(), 20), (320, 320))
    with_pyramid = build_model(FPN, 20)
    assert plain < count_macs(with_pyramid, (320, 320)) <= 1.125 * plain
    assert with_pyramid.map_sizes == [(side, side) for side in (40, 20, 10, 5, 3, 2, 1)]
    assert len(with_pyramid.priors) == 6 * (40**2 + 20**2 + 10**2 + 5**2 + 3**2 + 2**2 + 1)


def test_backbone_and_extra_layers_bear_the_names_of_the_plain_network() -> None:
    plain, other = build_model(ModelConfig(), 3).state_dict(), build_model(FPN, 3).state_dict()
    shared = [key for key in plain if key.startswith(("backbone.", "extras."))]
    assert len(shared) > 300
    assert all(plain[key].shape == other[key].shape for key in shared)


@pytest.mark.parametrize("config", [FPN, SIGMOID])
def test_for_inference_it_answers_the_same(config: ModelConfig) -> None:
    network = build_model(config, 3).eval()
    randomise(network)
    images = torch.randint(0, 256, (2, 3, 320, 320), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = network(images.to(torch.uint8)).logits
        _, scores = decoded_by(network, images.to(torch.uint8))
    expected = logits.sigmoid() if config == SIGMOID else logits.softmax(dim=-1)
    assert_close(scores, expected[..., :-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "side"), [("qfgaohao", 300), ("mmdetection", 320), ("tensorflow", 300)]
)
def test_presets_with_priors_of_their_own_have_none_for_it(name: str, side: int) -> None:
    values = {"preset": name, "image_size": side, "neck": "fpn"}
    with pytest.raises(ValueError, match=f"preset {name} has no priors for neck fpn"):
        ModelConfig.model_validate(values)
