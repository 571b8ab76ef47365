"""Photometric distortion of an image, on the CPU."""

# h, w: height and width of an image

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

# The ranges of torchvision's RandomPhotometricDistort; each change has probability 0.5.
BRIGHTNESS, CONTRAST, SATURATION, HUE = (0.875, 1.125), (0.5, 1.5), (0.5, 1.5), (-0.05, 0.05)
GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the grey level."""
LEVELS = np.arange(256.0)


class Distortion(NamedTuple):
    """The parameters of one distortion; the defaults change nothing.

    Attributes:
        brightness: Factor for all channels.
        contrast: Factor for the difference from the image's mean grey level.
        saturation: Factor for the difference from the pixel's own grey level.
        hue: Rotation of the hue; 1 is a full turn.
        is_contrast_first: Whether the contrast changes before saturation and hue, or after them.
        order: Indices of the channels that become red, green and blue.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    is_contrast_first: bool = True
    order: tuple[int, ...] = (0, 1, 2)


def draw_distortion(rng: np.random.Generator) -> Distortion:
    """Draw a random distortion from the distribution of torchvision's RandomPhotometricDistort."""
    brightness, contrast, saturation, hue = (
        rng.uniform(*limits) if is_applied else neutral
        for limits, neutral, is_applied in zip(
            (BRIGHTNESS, CONTRAST, SATURATION, HUE),
            Distortion()[:4],
            rng.random(4) < 0.5,
            strict=True,
        )
    )
    is_contrast_first, is_permuted = (rng.random(2) < 0.5).tolist()
    order = tuple(rng.permutation(3).tolist()) if is_permuted else (0, 1, 2)
    return Distortion(brightness, contrast, saturation, hue, is_contrast_first, order)


def distort(
    image: UInt8[ndarray, "_ _ 3"], change: Distortion, whole: UInt8[ndarray, "_ _ 3"]
) -> UInt8[ndarray, "_ _ 3"]:
    """Distort the colours of an image, in torchvision's order.

    Brightness, and contrast if it comes first, are combined in one lookup table. Levels are rounded
    after each table, after the saturation and after the hue.

    Args:
        image: RGB.
        change: The parameters of the distortion.
        whole: The image that this one is a part of. The contrast is relative to its mean grey level
            after the change of brightness, even if saturation and hue change before the contrast.
    """
    levels, after = np.clip(LEVELS * change.brightness, 0, 255), LEVELS
    if change.contrast != 1:
        grey = float(GREY @ cv2.mean(_mapped(whole, levels))[:3])
        if change.is_contrast_first:
            levels = _contrasted(levels, change.contrast, grey)
        else:
            after = _contrasted(LEVELS, change.contrast, grey)
    pixels = _mapped(image, levels)
    if change.saturation != 1:
        to_grey = np.tile(GREY, (3, 1))
        pixels = _mixed(pixels, change.saturation * np.eye(3) + (1 - change.saturation) * to_grey)
    if change.hue:
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL)
        hsv[..., 0] += np.uint8(round(change.hue * 256) % 256)  # wraps around, as the hue does
        pixels = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)
    pixels = _mapped(pixels, after)
    return pixels if change.order == (0, 1, 2) else _mixed(pixels, np.eye(3)[list(change.order)])


def _contrasted(levels: ndarray, factor: float, grey: float) -> ndarray:
    return np.clip(factor * levels + (1 - factor) * grey, 0, 255)


def _mapped(image: UInt8[ndarray, "h w 3"], levels: ndarray) -> UInt8[ndarray, "h w 3"]:
    """Replace each level of an image by the rounded value in a table of 256 levels."""
    if np.array_equal(levels, LEVELS):
        return image
    return np.asarray(cv2.LUT(image, levels.round().astype(np.uint8)), np.uint8)


def _mixed(image: UInt8[ndarray, "h w 3"], matrix: ndarray) -> UInt8[ndarray, "h w 3"]:
    """Multiply each pixel by a 3x3 matrix; results are rounded and limited to 0 to 255."""
    return np.asarray(cv2.transform(image, matrix), np.uint8)
