"""Optimiser, schedule, gradient clipping and autocast dtype."""

from typing import Literal

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vision.config import Config, OptimConfig
from vision.engine.optim import (
    autocast_dtype,
    build_optimizer,
    build_schedule,
    clip_gradients,
)
from vision.model import build_model


def test_only_weights_of_convolutions_decay() -> None:
    model = build_model(Config().model, 3)
    optimizer = build_optimizer(OptimConfig(weight_decay=0.01), model)
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(decay) == len(list(model.parameters()))
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            convolution = isinstance(module, nn.Conv2d) and name == "weight"
            assert decay[id(parameter)] == (0.01 if convolution else 0.0)


@pytest.mark.parametrize("epochs", [1, 4, 10])
@pytest.mark.parametrize("warmup_epochs", [0.0, 0.5, 1.0, 3.0])
def test_rate_rises_to_its_peak_once_and_falls_to_nearly_zero(
    epochs: int, warmup_epochs: float
) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = build_schedule(
        OptimConfig(lr=0.1, warmup_epochs=warmup_epochs), optimizer, epochs, 7
    )
    rates = []
    for _ in range(7 * epochs):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak == min(round(warmup_epochs * 7), 7 * epochs - 1)
    assert 0 < rates[-1] <= max(rates)
    if warmup_epochs < epochs:
        assert max(rates) == pytest.approx(0.1)


def test_half_of_the_peak_in_the_middle_of_the_decay() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = build_schedule(OptimConfig(lr=0.1, warmup_epochs=0), optimizer, 2, 10)
    for _ in range(10):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr()[0] == pytest.approx(0.05)


def test_milestones_are_shares_of_the_epochs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    config = OptimConfig(lr=0.1, warmup_epochs=1, schedule="multistep", milestones=[0.5, 0.8])
    schedule = build_schedule(config, optimizer, 10, 4)
    rates = []
    for _ in range(40):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    expected = [0.02, 0.04, 0.06, 0.08] + [0.1] * 16 + [0.01] * 12 + [0.001] * 8
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_backbone_has_a_rate_of_its_own(name: Literal["sgd", "adamw"]) -> None:
    model = build_model(Config().model, 3)
    optimizer = build_optimizer(OptimConfig(name=name, lr=0.1, backbone_lr=0.2), model)
    assert isinstance(optimizer, torch.optim.AdamW if name == "adamw" else torch.optim.SGD)
    backbone = {id(parameter) for parameter in model.backbone.parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["lr"] == pytest.approx(0.02 if id(parameter) in backbone else 0.1)


def test_long_gradients_are_shortened_filter_by_filter_and_others_left_alone() -> None:
    layer = nn.Conv2d(2, 3, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4], [3, 4], [0, 0]]).view(3, 2, 1, 1))
    gradient = torch.tensor([[60.0, 80], [0.03, 0.04], [0, 7]]).view(3, 2, 1, 1)
    layer.weight.grad = gradient.clone()
    assert layer.bias is not None
    layer.bias.grad = torch.full((3,), 1e6)
    clip_gradients(layer, 0.1)
    # 0.1 times 5; short enough; 0.1 times the shortest length that counts, 1e-3.
    expected = torch.tensor([[0.3, 0.4], [0.03, 0.04], [0, 1e-4]]).view(3, 2, 1, 1)
    assert_close(layer.weight.grad, expected)
    assert torch.equal(layer.bias.grad, torch.full((3,), 1e6))


def test_weights_without_a_gradient_are_passed_over() -> None:
    layer = nn.Conv2d(2, 3, 1)
    clip_gradients(layer, 0.1)
    assert layer.weight.grad is None


def test_bf16_is_asked_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for avx512, amx in [(True, False), (False, True), (False, False)]:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda found=avx512: found)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda found=amx: found)
        expected = torch.bfloat16 if avx512 or amx else torch.float32
        assert autocast_dtype("auto", torch.device("cpu")) == expected
    assert autocast_dtype("auto", torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_a_precision_that_is_named_is_taken(precision: str, dtype: torch.dtype) -> None:
    assert autocast_dtype(precision, torch.device("cpu")) == dtype
