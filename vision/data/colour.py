"""Photometric distortion of an image on the CPU."""

# h and w the height and width of an image

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

# Ranges of torchvision's RandomPhotometricDistort, which applies each with probability 0.5.
BRIGHTNESS, CONTRAST, SATURATION, HUE = (0.875, 1.125), (0.5, 1.5), (0.5, 1.5), (-0.05, 0.05)
GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue."""
LEVELS = np.arange(256.0)


class Distortion(NamedTuple):
    """The numbers of one distortion; by default it changes nothing.

    Attributes:
        brightness: Factor of all channels.
        contrast: Factor of the distance from the mean grey.
        saturation: Factor of the distance from each pixel's grey.
        hue: Turn of the hue, 1 for the full circle.
        is_contrast_first: Whether the contrast changes before saturation and hue, or after.
        order: Which channel becomes red, green and blue.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    is_contrast_first: bool = True
    order: tuple[int, ...] = (0, 1, 2)


def draw_distortion(rng: np.random.Generator) -> Distortion:
    """A distortion at random, by the distribution of torchvision's ``RandomPhotometricDistort``."""
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
    """The image with its colours changed, in torchvision's order.

    Brightness and a contrast that follows it are one table of levels. Levels are rounded after
    each table, after the saturation and after the hue.

    Args:
        image: RGB.
        change: What to change.
        whole: The image that this one is a part of. The contrast changes about its mean grey after
            the change of brightness, also where saturation and hue change before the contrast.
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
    """The image with each level replaced, rounded."""
    if np.array_equal(levels, LEVELS):
        return image
    return np.asarray(cv2.LUT(image, levels.round().astype(np.uint8)), np.uint8)


def _mixed(image: UInt8[ndarray, "h w 3"], matrix: ndarray) -> UInt8[ndarray, "h w 3"]:
    """The image with each pixel multiplied by a matrix, rounded and limited to 0 to 255."""
    return np.asarray(cv2.transform(image, matrix), np.uint8)
