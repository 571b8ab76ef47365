"""How many operations a training step dispatches besides forward and backward."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from tests.dispatch import CountedOperations
from tests.runs import run_config
from vision.data import read_sources
from vision.engine.build import build_run
from vision.engine.graphs import WARM_UPS, StepGraphs
from vision.engine.plan import Plan
from vision.engine.run import Run
from vision.engine.step import train_step
from vision.errors import TrainingError
from vision.model import Losses
from vision.structures import Batch

MAX_OPERATIONS = 500
"""Of which 270 give the lengths of the weights and gradients of 88 convolutions. The step took
2,255 when it clipped and averaged each weight by itself and padded each target by itself."""
SYNCHRONISING = {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.item.default"}


def make_run(device: str, *overrides: str) -> tuple[Run, Batch]:
    config = run_config(
        "data.val=null", "train.ema_decay=0.9", f"train.device={device}", *overrides
    )
    annotations = read_sources(config.data.train, "data.train")
    run = build_run(Plan(config, annotations.names, annotations), torch.device(device))
    batch = next(iter(run.train_loader))
    assert isinstance(batch, Batch)
    run.train_mode()
    train_step(run, batch)
    return run, batch


def test_a_step_dispatches_few_operations_besides_forward_and_backward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, batch = make_run("cpu", "train.precision=fp32")
    mode = CountedOperations()
    run = replace(run, forward=mode.paused(run.forward))
    monkeypatch.setattr(torch.autograd, "backward", mode.paused(torch.autograd.backward))
    # The check that a CPU's loss is finite, which a GPU's step leaves out
    monkeypatch.setattr("vision.engine.step.check_finite", lambda *_: None)
    with mode:
        train_step(run, batch)
    assert mode.counts.total() <= MAX_OPERATIONS
    waits = {name: count for name, count in mode.counts.items() if name in SYNCHRONISING}
    # On tensors of the CPU alone, wherever the network is: the average's count of updates; and the
    # end of the matching's rounds, which are not cut short on other devices.
    assert sum(waits.values()) <= 3


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_no_step_waits_for_the_gpu(precision: str) -> None:
    run, batch = make_run("cuda", f"train.precision={precision}")
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_step(run, batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_average_equals_pytorchs_to_the_bit() -> None:
    """With the arithmetic of earlier versions, which went through PyTorch's `AveragedModel`."""
    decay = 0.3
    run, batch = make_run("cpu", f"train.ema_decay={decay}", "train.precision=fp32")
    found = run.state.ema
    assert found is not None

    @torch.no_grad()
    def update(averaged: Any, current: Any, count: Tensor | int) -> None:  # noqa: ANN401
        for ours, theirs in zip(averaged, current, strict=True):
            if ours.is_floating_point():
                weight = 1 - torch.as_tensor((1 + count) / (10 + count)).clamp(max=decay)
                ours.add_((theirs - ours) * weight)
            else:
                ours.copy_(theirs)

    expected = AveragedModel(run.state.model, multi_avg_fn=update, use_buffers=True)
    expected.update_parameters(run.state.model)  # the step that the run has taken
    for _ in range(4):
        train_step(run, batch)
        expected.update_parameters(run.state.model)
    assert found.state_dict().keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def recorded(function: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
    """What `vision.engine.graphs.capture` does on a GPU, by calling the function each time."""
    losses = Losses(torch.zeros(()), torch.zeros(()))

    def replay() -> None:
        for ours, theirs in zip(losses, function(), strict=True):
            ours.copy_(theirs)

    return replay, losses


def test_steps_that_cannot_be_captured_are_taken_without_a_graph(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where graphs were not asked for by ``train.compile=on``: that is an error."""

    def fail(_: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    plain, batch = make_run("cpu", "train.precision=fp32")
    other, _ = make_run("cpu", "train.precision=fp32")
    other = replace(other, graphs=StepGraphs(fail, is_required=False))
    for _ in range(6):
        torch.testing.assert_close(train_step(other, batch), train_step(plain, batch))
    (line,) = (record.message for record in caplog.records if "graph" in record.message)
    assert line.endswith("cannot be captured (operation not permitted when stream is capturing)")
    other = replace(other, graphs=StepGraphs(fail))
    for _ in range(WARM_UPS):
        train_step(other, batch)
    with pytest.raises(TrainingError, match=r"\(operation .* capturing\); set train.compile=off"):
        train_step(other, batch)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_captured_steps_learn_the_same(name: str) -> None:
    """Learning rates, which warm up, and weights of the average differ in each of the steps."""
    overrides = (f"optim.name={name}", "optim.warmup_epochs=4", "train.precision=fp32")
    plain, batch = make_run("cpu", *overrides)
    captured, _ = make_run("cpu", *overrides)
    captured = replace(captured, graphs=StepGraphs(recorded))
    others = replace(batch, images=255 - batch.images)
    for images in (batch, others, batch, batch, others, batch, others):
        expected, found = train_step(plain, images), train_step(captured, images)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert plain.state.schedule.state_dict() == captured.state.schedule.state_dict()
    averages = [run.state.eval_model.state_dict() for run in (captured, plain)]
    torch.testing.assert_close(*averages, rtol=1e-3, atol=1e-5)
