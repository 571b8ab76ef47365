"""Prior boxes, by hand and against torchvision's generator."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

import vision.boxes as box_ops
from vision.config import Config, ModelConfig
from vision.config.model import PRESETS
from vision.model import PriorLayout, prior_boxes
from vision.model.priors import priors_per_cell
from vision.model.variants import VARIANTS

MapSizes = Sequence[tuple[int, int]]

AT_320 = [(side, side) for side in (20, 10, 5, 3, 2, 1)]
AT_300 = [(side, side) for side in (19, 10, 5, 3, 2, 1)]
WIDE = [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2), (1, 1)]


def torchvision_priors(map_sizes: MapSizes, scales: tuple[float, float]) -> Tensor:
    """Torchvision's priors in corner form, as fractions of the image."""
    height, width = 480, 640
    generator = DefaultBoxGenerator([[2, 3]] * 6, min_ratio=scales[0], max_ratio=scales[1])
    maps = [torch.zeros(1, 1, *size) for size in map_sizes]
    images = ImageList(torch.zeros(1, 3, height, width), [(height, width)])
    priors: Tensor = generator(images, maps)[0]
    return priors / torch.tensor([width, height, width, height])


@pytest.mark.parametrize(
    ("map_sizes", "count"),
    [
        pytest.param([(1, 1)], 6, id="one cell"),
        pytest.param(AT_320, 3234, id="320 pixels"),
        pytest.param(AT_300, 3000, id="300 pixels"),
        pytest.param([(2, 3)], 36, id="not square"),
    ],
)
def test_priors_are_counted(map_sizes: MapSizes, count: int) -> None:
    assert prior_boxes(map_sizes).shape == (count, 4)
    assert priors_per_cell(len(map_sizes)) == [6] * len(map_sizes)


@pytest.mark.parametrize("scales", [(0.2, 0.95), (0.06, 0.95), (0.1, 0.5), (0.3, 1.0)])
@pytest.mark.parametrize("map_sizes", [AT_320, AT_300, WIDE], ids=["320", "300", "wide"])
def test_priors_equal_torchvision(map_sizes: MapSizes, scales: tuple[float, float]) -> None:
    ours = box_ops.to_corners(prior_boxes(map_sizes, PriorLayout(*scales)))
    assert_close(ours, torchvision_priors(map_sizes, scales), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(0, [0.025, 0.025, 0.2, 0.2], id="first: square of the first scale"),
        pytest.param(
            6 * (20 * 2 + 5) + 1,
            [0.275, 0.125, math.sqrt(0.2 * 0.35), math.sqrt(0.2 * 0.35)],
            id="row 2, column 5 of the first map: square between the first scales",
        ),
        pytest.param(
            6 * (400 + 10 * 9 + 9) + 4,
            [0.95, 0.95, 0.35 * math.sqrt(3), 0.35 / math.sqrt(3)],
            id="last cell of the second map: three times as wide as high",
        ),
        pytest.param(
            3233, [0.5, 0.5, 0.95 / math.sqrt(3), 1.0], id="last: high, cut off at the image's side"
        ),
    ],
)
def test_four_priors_at_320_pixels_by_hand(row: int, expected: list[float]) -> None:
    assert prior_boxes(AT_320)[row].tolist() == pytest.approx(expected, abs=1e-6)


def test_scales_rise_evenly_from_02_to_095() -> None:
    starts = itertools.accumulate([0, *(6 * height * width for height, width in AT_320[:-1])])
    squares = [prior_boxes(AT_320)[start, 2].item() for start in starts]
    assert squares == pytest.approx([0.2, 0.35, 0.5, 0.65, 0.8, 0.95])


@pytest.mark.parametrize("map_sizes", [AT_320, AT_300, WIDE], ids=["320", "300", "wide"])
def test_centres_lie_inside_the_image_and_tile_it_without_drift(map_sizes: MapSizes) -> None:
    priors = prior_boxes(map_sizes)
    assert bool(((priors > 0) & (priors[:, :2] < 1).repeat(1, 2)).all())
    assert bool((priors <= 1).all())
    start = 0
    for height, width in map_sizes:
        centres = priors[start : start + 6 * height * width, :2]
        start += len(centres)
        assert_close(centres.mean(dim=0), torch.tensor([0.5, 0.5]))
        assert_close(centres[0], torch.tensor([0.5 / width, 0.5 / height]))


def test_rows_run_by_level_row_column_prior() -> None:
    centres = prior_boxes([(2, 3), (1, 1)])[::6, :2].tolist()
    expected = [(x / 6, y / 4) for y in (1, 3) for x in (1, 3, 5)] + [(0.5, 0.5)]
    assert [pytest.approx(pair) for pair in expected] == centres


def test_priors_of_other_projects_by_hand() -> None:
    first = 19 * 19
    tensorflow = prior_boxes(AT_300, VARIANTS["tensorflow"].layout)
    assert len(tensorflow) == 3 * first + 6 * (100 + 25 + 9 + 4 + 1)
    shapes = [(0.1, 0.1), (0.2 * 2**0.5, 0.2 / 2**0.5), (0.2 / 2**0.5, 0.2 * 2**0.5)]
    assert_close(tensorflow[:3, 2:], torch.tensor(shapes))
    assert tensorflow[-1, 2:].tolist() == pytest.approx([0.95 / 3**0.5, 0.95 * 3**0.5])
    # Strides of 16 and 32 pixels do not tile 300: centres drift, and are cut at the border.
    qfgaohao = prior_boxes(AT_300, VARIANTS["qfgaohao"].layout)
    assert qfgaohao[6 * first - 1, :2].tolist() == pytest.approx([18.5 * 16 / 300] * 2)
    assert qfgaohao[6 * (first + 100) - 1, :2].tolist() == [1.0, 1.0]
    assert qfgaohao[-5, 2:].tolist() == [1.0, 1.0]
    third = 6 * (400 + 100 + 25)
    for name, side, following in (("lufficc", 195, 240), ("mmdetection", 202, 253)):
        priors = prior_boxes(AT_320, VARIANTS[name].layout)
        assert priors[third].tolist() == pytest.approx([53.5 / 320] * 2 + [side / 320] * 2)
        mean = (side * following) ** 0.5 / 320
        assert priors[third + 1, 2:].tolist() == pytest.approx([mean, mean])
    assert priors.max() > 1  # mmdetection does not clip them


def test_every_preset_can_be_configured() -> None:
    assert list(VARIANTS) == list(PRESETS)
    for name, preset in PRESETS.items():
        side = 300 if name == "qfgaohao" else 320
        backbone = preset.backbone or "mobilenet_v2"
        values = {"preset": name, "backbone": backbone, "image_size": side}
        assert ModelConfig.model_validate(values).preset == name


@pytest.mark.parametrize(
    ("name", "side"), [("qfgaohao", 320), ("lufficc", 300), ("mmdetection", 640)]
)
def test_priors_of_fixed_strides_fit_one_size_alone(name: str, side: int) -> None:
    message = r"has priors for images of 3[02]0 pixels only; set model\.image_size=3"
    with pytest.raises(ValueError, match=message):
        ModelConfig.model_validate({"preset": name, "image_size": side})


def test_priors_of_fixed_strides_leave_no_room_for_small_images() -> None:
    model = {"preset": "lufficc", "image_size": 320}
    with pytest.raises(ValueError, match=r"lufficc has priors for one image size only"):
        Config.model_validate({"model": model, "train": {"small": {"epochs": 1}}})


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"epochs": 3, "small": {"epochs": 3}}, "small.epochs 3 leaves none of train.epochs 3"),
        ({"small": {"epochs": 1, "image_size": 352}}, "is larger than model.image_size"),
    ],
)
def test_small_images_are_smaller_and_come_first(train: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config.model_validate({"train": train})
