"""Blocks of the network, against torchvision's."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.testing import assert_close
from torchvision.models import mobilenetv2

from tests.reference_model import randomise
from vision.model.activations import ReLU6
from vision.model.backbones.mobilenet_v2 import InvertedResidual
from vision.model.layers import (
    BlockStyle,
    ConvNormAct,
    Padding,
    StridedConv,
    depthwise_separable,
    initialise,
    make_divisible,
)

# Under pytest jaxtyping checks the words before the class does.
REFUSED = (ValueError, TypeCheckError)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        pytest.param(1.0, 8, id="at least one multiple"),
        pytest.param(32 * 0.35, 16, id="rounding down would lose more than a tenth"),
        pytest.param(96 * 0.35, 32, id="rounding down loses less"),
        pytest.param(24 * 1.3, 32, id="rounding up"),
        pytest.param(1280 * 1.4, 1792, id="exact"),
    ],
)
def test_channels_are_rounded_to_multiples_of_8(channels: float, expected: int) -> None:
    assert make_divisible(channels) == expected


def test_rounding_equals_torchvision() -> None:
    values = [tenth / 10 for tenth in range(1, 4000, 7)]
    theirs = [mobilenetv2._make_divisible(value, 8) for value in values]
    assert [make_divisible(value) for value in values] == theirs


@pytest.mark.parametrize(
    ("norm", "activation"), [("", "relu6"), ("group", "relu6"), ("batch", "gelu")]
)
def test_unknown_styles_are_refused(norm: str, activation: str) -> None:
    with pytest.raises(REFUSED):
        BlockStyle(norm, activation)  # type: ignore[arg-type]


def test_norms_have_eps_1e_3_and_momentum_003() -> None:
    norm = ConvNormAct(3, 8, BlockStyle())[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert (norm.eps, norm.momentum) == (1e-3, 0.03)


def test_convolution_before_a_norm_has_no_bias() -> None:
    block = ConvNormAct(3, 8, BlockStyle())
    assert [type(layer) for layer in block] == [nn.Conv2d, nn.BatchNorm2d, ReLU6]
    assert block[0].bias is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_relu6_in_place_has_pytorchs_gradient_and_keeps_its_result_alone(
    dtype: torch.dtype,
) -> None:
    """PyTorch's own in place keeps a copy of its input besides."""
    values = torch.cat([torch.tensor([-0.0, 0.0, 6.0, -1.0, 7.0]), 9 * torch.rand(50) - 2])
    ours, theirs = (values.to(dtype).requires_grad_() for _ in range(2))
    weights, features = torch.rand(55).to(dtype), ours + 0
    kept = list[int]()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = ReLU6(inplace=True)(features)
    expected = nn.functional.relu6(theirs + 0)
    assert torch.equal(found, expected)
    assert kept == [found.data_ptr()] == [features.data_ptr()]
    (found * weights).sum().backward()
    (expected * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_relu6_in_place_can_be_traced_and_exported_with_gradients_on() -> None:
    block, features = ConvNormAct(3, 8, BlockStyle()).eval(), torch.randn(1, 3, 9, 9)
    traced = torch.jit.trace(block, features)  # type: ignore[no-untyped-call]
    exported = torch.export.export(block, (features,)).module()
    for found in (traced(features), exported(features)):
        assert torch.equal(found, block(features))


def test_style_without_norm_gives_a_biased_convolution_and_relu() -> None:
    block = ConvNormAct(3, 8, BlockStyle("none", "relu"))
    assert [type(layer) for layer in block] == [nn.Conv2d, nn.ReLU]
    assert block[0].bias is not None


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_every_kernel_and_stride_are_those_of_the_convolution(
    kernel: int, stride: int, padding: Padding
) -> None:
    """The map is a stride-th as large, rounded up, and the padding that of torch or TensorFlow."""
    style = BlockStyle(padding=padding)
    block = ConvNormAct(4, 4, style, kernel=kernel, stride=stride, groups=4).eval()
    randomise(block)
    features = torch.randn(2, 4, 9, 14, generator=torch.Generator().manual_seed(0))
    if padding == "symmetric":
        padded = nn.functional.pad(features, [kernel // 2] * 4)
    else:
        sides = [max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in (14, 9)]
        edges = [edge for total in sides for edge in (total // 2, math.ceil(total / 2))]
        padded = nn.functional.pad(features, edges)
    conv = block[0]
    assert isinstance(conv, nn.Conv2d)
    assert conv.weight.shape == (4, 1, kernel, kernel)
    rest = nn.Sequential(*list(block)[1:])
    expected = rest(nn.functional.conv2d(padded, conv.weight, stride=stride, groups=4))
    assert expected.shape == (2, 4, math.ceil(9 / stride), math.ceil(14 / stride))
    assert expected.std() > 0.1
    assert_close(block(features), expected)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel: expected an odd number, got 4"):
        ConvNormAct(3, 8, BlockStyle(), kernel=4)


def test_depthwise_separable_is_depthwise_3x3_and_then_biased_1x1() -> None:
    depthwise, pointwise = depthwise_separable(16, 24, BlockStyle())
    assert isinstance(depthwise, ConvNormAct)
    assert depthwise[0].weight.shape == (16, 1, 3, 3)
    assert isinstance(depthwise[-1], nn.ReLU6)
    assert isinstance(pointwise, nn.Conv2d)
    assert pointwise.weight.shape == (24, 16, 1, 1)
    assert pointwise.bias is not None


@pytest.mark.parametrize(
    ("inputs", "outputs", "stride", "expand", "has_shortcut"),
    [
        pytest.param(16, 16, 1, 1, True, id="without expansion"),
        pytest.param(16, 16, 1, 6, True, id="shortcut"),
        pytest.param(16, 16, 2, 6, False, id="no shortcut when strided"),
        pytest.param(16, 24, 1, 6, False, id="no shortcut to other channels"),
    ],
)
def test_inverted_residual_equals_torchvision(
    inputs: int, outputs: int, stride: int, expand: int, has_shortcut: bool
) -> None:
    ours = InvertedResidual(inputs, outputs, BlockStyle(), stride=stride, expand=expand).eval()
    theirs = mobilenetv2.InvertedResidual(inputs, outputs, stride, expand).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    features = torch.randn(2, inputs, 9, 12, generator=torch.Generator().manual_seed(0))
    assert_close(ours(features), theirs(features), rtol=1e-5, atol=1e-5)
    assert ours.is_residual is has_shortcut


def test_block_leaves_its_input_alone() -> None:
    block = InvertedResidual(8, 8, BlockStyle("none"), stride=1, expand=6).eval()
    features = torch.randn(1, 8, 5, 5) * 10
    before = features.clone()
    block(features)
    assert torch.equal(features, before)


def test_initialisation_is_normal_003_with_zero_biases_and_identity_norms() -> None:
    network = nn.Sequential(
        nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64), nn.Flatten(), nn.Linear(256, 256)
    )
    randomise(network)
    nn.init.ones_(network[1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(network[1].bias)  # type: ignore[arg-type]
    torch.manual_seed(0)
    initialise(network)
    for index in (0, 3):
        weight, bias = network[index].weight, network[index].bias
        assert isinstance(weight, torch.Tensor)
        assert isinstance(bias, torch.Tensor)
        assert weight.std().item() == pytest.approx(0.03, rel=0.02)
        assert abs(weight.mean().item()) < 1e-3
        # A normal draw has values past two deviations, a uniform one of this width has none.
        assert 0.04 < (weight.abs() > 0.06).float().mean().item() < 0.05
        assert not bias.any()
    norm = network.get_submodule("1").state_dict()
    assert bool((norm["weight"] == 1).all())
    assert not norm["bias"].any()


@pytest.mark.parametrize("side", [1, 2, 3, 10])
def test_strided_depthwise_gradients_under_cpu_autocast_equal_float32(side: int) -> None:
    # oneDNN's bf16 gradient is unwritten memory on maps with a side of one pixel.
    layer = StridedConv(64, 64, groups=64, bias=False, padding="symmetric")
    features = torch.randn(4, 64, side, 2 * side).bfloat16().requires_grad_()
    layer(features.float()).sum().backward()
    assert layer.weight.grad is not None
    assert features.grad is not None
    expected, layer.weight.grad = layer.weight.grad, None
    expected_features, features.grad = features.grad, None
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(features)
    output.float().sum().backward()
    assert output.dtype is torch.bfloat16
    assert_close(layer.weight.grad, expected)
    assert_close(features.grad, expected_features)


def test_stages_of_stride_2_are_strided_depthwise_layers() -> None:
    block = InvertedResidual(16, 24, BlockStyle(), stride=2, expand=6)
    strided = [type(layer) for layer in block.modules() if getattr(layer, "stride", None) == (2, 2)]
    assert strided == [StridedConv]


def test_only_blocks_with_a_shortcut_start_as_the_identity() -> None:
    for stride, outputs, residual in [(1, 16, True), (2, 16, False), (1, 24, False)]:
        block = InvertedResidual(16, outputs, BlockStyle(), stride=stride, expand=6)
        initialise(block)
        norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
        assert [bool((norm.weight == 1).all()) for norm in norms] == [True, True, not residual]
        features = torch.randn(2, 16, 6, 6)
        if residual:
            assert torch.equal(block(features), features)
            assert not norms[-1].weight.any()
