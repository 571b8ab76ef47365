# ruff: noqa: C901, D101, D102
"""SSDLite-MobileNetV2 as other projects lay it out, with their names; written from their facts."""

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 64))


def rows(output: Tensor, values: int) -> Tensor:
    return output.permute(0, 2, 3, 1).reshape(len(output), -1, values)


def unit(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class FlatBlock(nn.Module):
    """A block whose layers lie in one sequence: qfgaohao's, after tonylins."""

    def __init__(self, inputs: int, outputs: int, stride: int, hidden: int) -> None:
        super().__init__()
        layers = [] if hidden == inputs else [*unit(inputs, hidden, 1), nn.ReLU6()]
        layers += [*unit(hidden, hidden, 3, stride, hidden), nn.ReLU6(), *unit(hidden, outputs, 1)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class NestedBlock(FlatBlock):
    """A block whose layers are nested as torchvision's: lufficc's."""

    def __init__(self, inputs: int, outputs: int, stride: int, hidden: int) -> None:
        super().__init__(inputs, outputs, stride, hidden)
        layers = [] if hidden == inputs else [nn.Sequential(*unit(inputs, hidden, 1), nn.ReLU6())]
        depthwise = nn.Sequential(*unit(hidden, hidden, 3, stride, hidden), nn.ReLU6())
        self.conv = nn.Sequential(*layers, depthwise, *unit(hidden, outputs, 1))


def backbone(block: type[FlatBlock]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Sequential(*unit(3, 32, 3, 2), nn.ReLU6())]
    channels = 32
    for expand, outputs, repeats, stride in STAGES:
        for repeat in range(repeats):
            layers.append(block(channels, outputs, stride if not repeat else 1, channels * expand))
            channels = outputs
    return nn.Sequential(*layers, nn.Sequential(*unit(320, 1280, 1), nn.ReLU6()))


def head(inputs: int, outputs: int) -> nn.Sequential:
    depthwise = nn.Conv2d(inputs, inputs, 3, 1, 1, groups=inputs)
    return nn.Sequential(
        depthwise, nn.BatchNorm2d(inputs), nn.ReLU6(), nn.Conv2d(inputs, outputs, 1)
    )


class Qfgaohao(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.base_net = backbone(FlatBlock)
        channels = [1280, 512, 256, 256]
        self.extras = nn.ModuleList(
            FlatBlock(inputs, outputs, 2, hidden)
            for inputs, (hidden, outputs) in zip(channels, EXTRAS, strict=True)
        )
        levels = [576, 1280, 512, 256, 256]
        for name, values in (("classification", num_classes + 1), ("regression", 4)):
            heads: list[nn.Module] = [head(level, 6 * values) for level in levels]
            setattr(self, f"{name}_headers", nn.ModuleList([*heads, nn.Conv2d(64, 6 * values, 1)]))

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.base_net[:14]((images.float() - 127) / 128)
        block = self.base_net[14]
        assert isinstance(block, FlatBlock)
        maps = [block.conv[:3](x)]
        maps.append(self.base_net[15:](block.conv[3:](maps[0])))
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        return maps


class Lufficc(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.features = backbone(NestedBlock)
        channels = [1280, 512, 256, 256]
        self.backbone.extras = nn.ModuleList(
            NestedBlock(inputs, outputs, 2, hidden)
            for inputs, (hidden, outputs) in zip(channels, EXTRAS, strict=True)
        )
        self.box_head = nn.Module()
        self.box_head.predictor = nn.Module()
        for name, values in (("cls", num_classes + 1), ("reg", 4)):
            heads: list[nn.Module] = []
            for level in (96, 1280, 512, 256, 256):
                wrapped = nn.Module()
                wrapped.conv = head(level, 6 * values)
                heads.append(wrapped)
            heads.append(nn.Conv2d(64, 6 * values, 1))
            setattr(self.box_head.predictor, f"{name}_headers", nn.ModuleList(heads))

    def forward(self, images: Tensor) -> list[Tensor]:
        features, extras = self.backbone.features, self.backbone.extras
        assert isinstance(features, nn.Sequential)
        assert isinstance(extras, nn.ModuleList)
        mean = torch.tensor([123.0, 117, 104]).view(3, 1, 1)
        maps = [features[:14](images.float() - mean)]
        maps.append(features[14:](maps[0]))
        for extra in extras:
            maps.append(extra(maps[-1]))
        return maps


def conv_module(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, acts: bool = True
) -> nn.Sequential:
    """mmdetection's, with its constants of BatchNorm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    parts = OrderedDict[str, nn.Module](conv=conv, bn=nn.BatchNorm2d(outputs, eps=1e-3))
    if acts:
        parts["activate"] = nn.ReLU6()
    return nn.Sequential(parts)


class MmdetBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, hidden: int) -> None:
        super().__init__()
        if hidden != inputs:
            self.expand_conv = conv_module(inputs, hidden, 1)
        self.depthwise_conv = conv_module(hidden, hidden, 3, stride, hidden)
        self.linear_conv = conv_module(hidden, outputs, 1, acts=False)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.expand_conv(x) if hasattr(self, "expand_conv") else x
        y = torch.as_tensor(self.linear_conv(self.depthwise_conv(y)))
        return x + y if self.adds else y


class Mmdetection(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone, self.neck, self.bbox_head = nn.Module(), nn.Module(), nn.Module()
        self.backbone.conv1 = conv_module(3, 32, 3, 2)
        channels = 32
        for stage, (expand, outputs, repeats, stride) in enumerate(STAGES, 1):
            blocks = []
            for repeat in range(repeats):
                first = stride if not repeat else 1
                blocks.append(MmdetBlock(channels, outputs, first, channels * expand))
                channels = outputs
            setattr(self.backbone, f"layer{stage}", nn.Sequential(*blocks))
        self.backbone.conv2 = conv_module(320, 1280, 1)
        extras = []
        for inputs, outputs in ((1280, 512), (512, 256), (256, 256), (256, 128)):
            hidden = outputs // 2
            separable = OrderedDict[str, nn.Module](
                depthwise_conv=conv_module(hidden, hidden, 3, 2, hidden),
                pointwise_conv=conv_module(hidden, outputs, 1),
            )
            extras.append(nn.Sequential(conv_module(inputs, hidden, 1), nn.Sequential(separable)))
        self.neck.extra_layers = nn.ModuleList(extras)
        for name, values in (("cls", num_classes + 1), ("reg", 4)):
            heads = [
                nn.Sequential(
                    conv_module(level, level, 3, 1, level), nn.Conv2d(level, 6 * values, 1)
                )
                for level in (96, 1280, 512, 256, 256, 128)
            ]
            setattr(self.bbox_head, f"{name}_convs", nn.ModuleList(heads))

    def forward(self, images: Tensor) -> list[Tensor]:
        mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
        std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
        x = self.backbone.get_submodule("conv1")((images.float() - mean) / std)
        maps = []
        for stage in range(1, 8):
            x = self.backbone.get_submodule(f"layer{stage}")(x)
            if stage == 5:
                maps.append(x)
        maps.append(self.backbone.get_submodule("conv2")(x))
        extras = self.neck.extra_layers
        assert isinstance(extras, nn.ModuleList)
        for extra in extras:
            maps.append(extra(maps[-1]))
        return maps


def tensorflow_variables(num_slots: int, multiplier: float, seed: int) -> dict[str, np.ndarray]:
    """Random variables of the Object Detection API's graph, by name."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}

    def norm(name: str, channels: int) -> None:
        for part, low, high in (
            ("gamma", 0.5, 1.5),
            ("beta", -0.5, 0.5),
            ("moving_mean", -0.2, 0.2),
            ("moving_variance", 0.5, 1.5),
        ):
            value = rng.uniform(low, high, channels).astype(np.float32)
            found[f"{name}/BatchNorm/{part}"] = value

    def conv(name: str, kernel: int, inputs: int, outputs: int) -> None:
        scale = 1 / (inputs * kernel**2) ** 0.5
        value = rng.normal(0, scale, (kernel, kernel, inputs, outputs)).astype(np.float32)
        found[f"{name}/weights"] = value

    def depthwise(name: str, channels: int) -> None:
        value = rng.normal(0, 1 / 3, (3, 3, channels, 1)).astype(np.float32)
        found[f"{name}/depthwise_weights"] = value
        norm(name, channels)

    def deep(channels: int) -> int:
        rounded = max(16, int(channels * multiplier + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * channels * multiplier else rounded + 8

    base = "FeatureExtractor/MobilenetV2"
    channels = deep(32)
    conv(f"{base}/Conv", 3, 3, channels)
    norm(f"{base}/Conv", channels)
    number = 0
    for expand, outputs, repeats, _ in STAGES:
        for _ in range(repeats):
            name = f"{base}/expanded_conv" + (f"_{number}" if number else "")
            hidden = channels * expand
            if number == 13:
                level = hidden
            if expand > 1:
                conv(f"{name}/expand", 1, channels, hidden)
                norm(f"{name}/expand", hidden)
            depthwise(f"{name}/depthwise", hidden)
            channels = deep(outputs)
            conv(f"{name}/project", 1, hidden, channels)
            norm(f"{name}/project", channels)
            number += 1
    conv(f"{base}/Conv_1", 1, channels, deep(1280))
    norm(f"{base}/Conv_1", deep(1280))
    levels = [level, deep(1280)]
    for index, depth in enumerate((512, 256, 256, 128), 2):
        half, outputs = (max(int(d * multiplier), 16) for d in (depth // 2, depth))
        reduce = f"{base}/layer_19_1_Conv2d_{index}_1x1_{half}"
        conv(reduce, 1, levels[-1], half)
        norm(reduce, half)
        depthwise(f"{base}/layer_19_2_Conv2d_{index}_3x3_s2_{outputs}_depthwise", half)
        conv(f"{base}/layer_19_2_Conv2d_{index}_3x3_s2_{outputs}", 1, half, outputs)
        norm(f"{base}/layer_19_2_Conv2d_{index}_3x3_s2_{outputs}", outputs)
        levels.append(outputs)
    for index, level in enumerate(levels):
        priors = 3 if index == 0 else 6
        for kind, values in (("ClassPredictor", num_slots + 1), ("BoxEncodingPredictor", 4)):
            depthwise(f"BoxPredictor_{index}/{kind}_depthwise", level)
            conv(f"BoxPredictor_{index}/{kind}", 1, level, priors * values)
            biases = rng.normal(0, 0.1, priors * values).astype(np.float32)
            found[f"BoxPredictor_{index}/{kind}/biases"] = biases
    return found


def tensorflow_forward(found: Mapping[str, np.ndarray], images: Tensor) -> tuple[Tensor, Tensor]:
    """(box codes, logits) as the graph computes them, in its own order of everything."""

    def layer(x: Tensor, name: str, stride: int = 1, *, acts: bool = True) -> Tensor:
        is_depthwise = f"{name}/depthwise_weights" in found
        value = found[f"{name}/{'depthwise_weights' if is_depthwise else 'weights'}"]
        weight = torch.from_numpy(value).permute(*((2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1)))
        kernel, groups = weight.shape[2], len(weight) if is_depthwise else 1
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        x = functional.conv2d(functional.pad(x, pads), weight, None, stride, groups=groups)
        parts = [
            torch.from_numpy(found[f"{name}/BatchNorm/{part}"])
            for part in ("moving_mean", "moving_variance", "gamma", "beta")
        ]
        mean, variance, gamma, beta = parts
        x = functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)
        return x.clamp(0, 6) if acts else x

    base = "FeatureExtractor/MobilenetV2"
    x = layer(images.float() * (2 / 255) - 1, f"{base}/Conv", 2)
    number, maps = 0, []
    for expand, _, repeats, stride in STAGES:
        for repeat in range(repeats):
            name = f"{base}/expanded_conv" + (f"_{number}" if number else "")
            y = layer(x, f"{name}/expand") if expand > 1 else x
            if number == 13:
                maps.append(y)
            y = layer(y, f"{name}/depthwise", stride if not repeat else 1)
            y = layer(y, f"{name}/project", acts=False)
            x = x + y if x.shape == y.shape else y
            number += 1
    maps.append(layer(x, f"{base}/Conv_1"))
    names = [name.rpartition("/")[0] for name in found if name.endswith("weights")]
    for index in range(2, 6):
        first = next(n for n in names if f"layer_19_1_Conv2d_{index}_" in n)
        second = next(n for n in names if f"layer_19_2_Conv2d_{index}_" in n and "_depth" in n)
        third = second.removesuffix("_depthwise")
        maps.append(layer(layer(layer(maps[-1], first), second, 2), third))
    outputs = []
    for kind in ("BoxEncodingPredictor", "ClassPredictor"):
        parts = []
        for index, level in enumerate(maps):
            prefix = f"BoxPredictor_{index}/{kind}"
            x = layer(level, f"{prefix}_depthwise")
            weight = torch.from_numpy(found[f"{prefix}/weights"]).permute(3, 2, 0, 1)
            x = functional.conv2d(x, weight, torch.from_numpy(found[f"{prefix}/biases"]))
            parts.append(rows(x, x.shape[1] // (3 if index == 0 else 6)))
        outputs.append(torch.cat(parts, dim=1))
    return outputs[0], outputs[1]


def shrinking_boxes(offsets: Tensor, side: int, last: int) -> Tensor:
    """Corners as qfgaohao's and lufficc's generators and decoders give them, cell by cell."""
    strides = (16, 32, 64, 100, 150, 300) if side == 300 else (16, 32, 64, 107, 160, 320)
    maps = (19, 10, 5, 3, 2, 1) if side == 300 else (20, 10, 5, 3, 2, 1)
    sizes = [60, 105, 150, 195, 240, 285, last]
    priors = []
    for level, (stride, count) in enumerate(zip(strides, maps, strict=True)):
        small, large = sizes[level], sizes[level + 1]
        for row in range(count):
            for column in range(count):
                centre = ((column + 0.5) * stride / side, (row + 0.5) * stride / side)
                mean = (small * large) ** 0.5
                for width, height in (
                    (small, small),
                    (mean, mean),
                    *(
                        (small * ratio**power, small * ratio**-power)
                        for ratio in (2, 3)
                        for power in (0.5, -0.5)
                    ),
                ):
                    priors.append([*centre, width / side, height / side])
    where = torch.tensor(priors, dtype=torch.float64).clamp(0, 1).float()
    centres = where[:, :2] + 0.1 * offsets[..., :2] * where[:, 2:]
    halves = where[:, 2:] * (0.2 * offsets[..., 2:]).exp() / 2
    return torch.cat([centres - halves, centres + halves], dim=-1) * side


def mmdetection_boxes(offsets: Tensor) -> Tensor:
    """Corners as mmdetection's SSDAnchorGenerator and DeltaXYWHBBoxCoder give them, uncut."""
    strides, maps = (16, 32, 64, 107, 160, 320), (20, 10, 5, 3, 2, 1)
    sizes = (48, 100, 150, 202, 253, 304, 320)
    anchors = []
    for level, (stride, count) in enumerate(zip(strides, maps, strict=True)):
        base, scale = sizes[level], (sizes[level + 1] / sizes[level]) ** 0.5
        halves = [
            (base * factor / ratio**0.5 / 2, base * factor * ratio**0.5 / 2)
            for ratio, factor in ((1, 1), (1, scale), (1 / 2, 1), (2, 1), (1 / 3, 1), (3, 1))
        ]
        for row in range(count):
            for column in range(count):
                x, y = stride / 2 + column * stride, stride / 2 + row * stride
                anchors += [[x - w, y - h, x + w, y + h] for w, h in halves]
    where = torch.tensor(anchors)
    centres, sides = (where[:, :2] + where[:, 2:]) / 2, where[:, 2:] - where[:, :2]
    centres = centres + 0.1 * offsets[..., :2] * sides
    halved = sides * (0.2 * offsets[..., 2:]).exp() / 2
    return torch.cat([centres - halved, centres + halved], dim=-1)


def in_our_order(values: Tensor) -> Tensor:
    """Six priors a cell are 1, 2, 1/2, 3, 1/3 and the larger square there, 3 on the first map."""
    first = 19 * 19 * 3
    rest = values[:, first:].reshape(1, -1, 6, values.shape[2])[:, :, [0, 5, 1, 2, 3, 4]]
    return torch.cat([values[:, :first], rest.reshape(1, -1, values.shape[2])], dim=1)
