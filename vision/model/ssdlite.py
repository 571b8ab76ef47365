"""The SSDLite detector: a backbone, extra layers, an optional neck, and heads."""

# N batch, P priors, V values of a prior, C classes, H W image height and width

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vision.model.backbones.base import Backbone
from vision.model.layers import BlockStyle, Scores, depthwise_separable, initialise
from vision.model.neck import FeaturePyramid
from vision.model.priors import PriorLayout, prior_boxes
from vision.structures import Predictions

Network = TypeVar("Network", bound=nn.Module)
PixelRange = tuple[tuple[float, float, float], tuple[float, float, float]]
SIZE_KEEPING = (_BatchNorm, nn.ReLU6, nn.ReLU, nn.Hardswish)


class Heads(nn.ModuleList):
    """A prediction layer for each level.

    Args:
        channels: Channels of each level's map.
        priors_per_cell: Number of priors per cell at each level.
        num_values: Number of values that are predicted for each prior.
        style: Norm and activation.
        biased_depthwise: Whether the depthwise convolutions have biases before their norm.
        last_head_1x1: Whether the last level's prediction layer is a single 1x1 convolution.
    """

    def __init__(
        self,
        channels: Sequence[int],
        priors_per_cell: Sequence[int],
        num_values: int,
        style: BlockStyle,
        *,
        biased_depthwise: bool = False,
        last_head_1x1: bool = False,
    ) -> None:
        counts = [num_values * count for count in priors_per_cell]
        layers: list[nn.Module] = [
            depthwise_separable(inputs, count, style, bias=biased_depthwise)
            for inputs, count in zip(channels, counts, strict=True)
        ]
        if last_head_1x1:
            layers[-1] = nn.Conv2d(channels[-1], counts[-1], 1)
        super().__init__(layers)
        self.num_values = num_values

    def forward(self, maps: Sequence[Float[Tensor, "N _ _ _"]]) -> Float[Tensor, "N P V"]:
        """Compute the predictions for each prior, in the order of the priors."""
        outputs = [head(level) for head, level in zip(self, maps, strict=True)]
        rows = [
            output.permute(0, 2, 3, 1).reshape(output.shape[0], -1, self.num_values)
            for output in outputs
        ]
        return torch.cat(rows, dim=1)


class SSDLite(nn.Module):
    """SSDLite (MobileNetV2, arXiv 1801.04381, section 6.2), composed of its parts.

    There are heads on the backbone's maps of stride 16 and 32 and on the map of each extra layer;
    with a neck also on the map of stride 8. `vision.model.build.build_model` builds parts that fit
    together. The sizes of the feature maps, which determine the priors, are measured.

    Args:
        backbone: Network that computes the maps of stride 8, 16 and 32.
        extras: Layers of `vision.model.neck.extra_layers`, each of which halves the map before it.
        neck: A feature pyramid before the heads, or None.
        class_heads: Layers that predict a logit for each class and background.
        box_heads: Layers that predict four offsets.
        image_size: (height, width) of the images.
        layout: Layout of the priors.
        scores: How logits become scores.
        pixels: Mean and standard deviation of red, green and blue, in the range from 0 to 255.

    Attributes:
        num_classes: Number of classes without background.
        map_sizes: (height, width) of each level's map.
        priors: (P, 4), relative to the image, in centre form.
        layer_dtype: Dtype of the layers' weights; pixels are normalised in float32 before.
    """

    priors: Tensor
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(  # noqa: PLR0913
        self,
        backbone: Backbone,
        extras: nn.ModuleList,
        neck: FeaturePyramid | None,
        class_heads: Heads,
        box_heads: Heads,
        *,
        image_size: tuple[int, int],
        layout: PriorLayout,
        scores: Scores,
        pixels: PixelRange,
    ) -> None:
        super().__init__()
        self.num_classes = class_heads.num_values - 1
        self.image_size = image_size
        self.scores = scores
        self.backbone = backbone
        self.extras = extras
        self.neck = neck
        self.class_heads = class_heads
        self.box_heads = box_heads
        for part in (extras, class_heads, box_heads):
            initialise(part)
        self.layer_dtype = torch.float32
        for name, values in zip(("pixel_mean", "pixel_std"), pixels, strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))
        self._layout = layout
        self.map_sizes = self._measure_maps(image_size)
        self.register_buffer("priors", prior_boxes(self.map_sizes, layout), persistent=False)

    def _measure_maps(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the (height, width) of each level's map, from a pass on the meta device.

        Norms and activations, which would take most of its time, keep the size and are skipped.
        """
        twin = copy.deepcopy(self).to("meta").eval()
        for part in twin.modules():
            if isinstance(part, SIZE_KEEPING):
                part.forward = nn.Identity().forward  # type: ignore[method-assign]
        maps = twin.levels(torch.empty(1, 3, *image_size, device="meta"))
        return [(level.shape[2], level.shape[3]) for level in maps]

    def priors_at(self, image_size: tuple[int, int]) -> Float[Tensor, "P 4"]:
        """Build the priors for images of any (height, width), on the network's device."""
        sizes = self.map_sizes if image_size == self.image_size else self._measure_maps(image_size)
        return prior_boxes(sizes, self._layout).to(self.pixel_mean.device)

    def levels(self, images: Tensor) -> list[Tensor]:
        """Compute the inputs of the heads, finest first, from images as `forward` takes them."""
        normalised = ((images - self.pixel_mean) / self.pixel_std).to(self.layer_dtype)
        maps: list[Tensor] = list(self.backbone.feature_maps(normalised))
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        if self.neck is None:
            return maps[1:]
        joined: list[Tensor] = self.neck(maps)
        return joined

    def forward(self, images: Shaped[Tensor, "N 3 H W"]) -> Predictions:
        """Predict the class and box of each prior of each image.

        Args:
            images: RGB from 0 to 255, uint8 or floating point, of the network's ``image_size``.

        Returns:
            ``logits`` (N, P, C + 1) before softmax or sigmoid, background last; ``offsets``
            (N, P, 4) from ``priors``, which `vision.boxes.decode` turns into boxes.
        """
        maps = self.levels(images)
        return Predictions(self.class_heads(maps), self.box_heads(maps))

    def head_keys(self) -> set[str]:
        """Return the state-dict keys of all class and box heads."""
        return {
            *self.class_heads.state_dict(prefix="class_heads."),
            *self.box_heads.state_dict(prefix="box_heads."),
        }

    def cast_layers(self, dtype: torch.dtype) -> "SSDLite":
        """Cast the convolutions in place; pixel normalisation and priors stay in float32."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.to(dtype)
        self.layer_dtype = dtype
        return self


def fuse(network: Network) -> Network:
    """Return a copy for inference, with each BatchNorm folded into the convolution before it.

    The copy is in evaluation mode and channels-last memory format, and has the layers and
    state-dict keys of the same network built with ``norm="none"``.
    """
    fused = copy.deepcopy(network).eval().to(memory_format=torch.channels_last)
    for block in fused.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for index in range(len(block) - 1, 0, -1):
            conv, norm = block[index - 1], block[index]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm):
                block[index - 1] = fuse_conv_bn_eval(conv, norm)
                del block[index]
    return fused
