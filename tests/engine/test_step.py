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
from vision.engine.forward import choose_graphs
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
    run, batch = make_run("cpu")
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
    run, batch = make_run("cpu", f"train.ema_decay={decay}")
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
    failures = []

    def fail(_: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        failures.append(1)
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    plain, batch = make_run("cpu")
    other, _ = make_run("cpu")
    other = replace(other, graphs=StepGraphs(fail, is_required=False))
    for _ in range(6):
        torch.testing.assert_close(train_step(other, batch), train_step(plain, batch))
    assert len(failures) == 1
    (line,) = (record.message for record in caplog.records if "graph" in record.message)
    assert line.endswith("cannot be captured (operation not permitted when stream is capturing)")
    other = replace(other, graphs=StepGraphs(fail))
    for _ in range(WARM_UPS):
        train_step(other, batch)
    with pytest.raises(TrainingError, match=r"\(operation .* capturing\); set train.compile=off"):
        train_step(other, batch)


def test_full_batches_alone_have_a_graph_and_only_one_of_the_present_size() -> None:
    """The first batch is a partial one, as after a resume before the end of an epoch."""
    captured = []

    def counted(function: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        captured.append(1)
        return recorded(function)

    run, batch = make_run("cpu")
    graphs = StepGraphs(counted)
    run = replace(run, graphs=graphs)
    partial = replace(batch, images=batch.images[:3], targets=batch.targets[:3], packed=None)
    sizes = [partial, *[batch] * (WARM_UPS + 2), partial, partial, batch]
    expected = [0, *[0] * WARM_UPS, 1, 1, 1, 1, 1]
    for images, count in zip(sizes, expected, strict=True):
        train_step(run, images)
        assert len(captured) == count


@pytest.mark.parametrize(
    ("change", "has_graphs", "is_required"),
    [
        ({}, True, False),
        ({"choice": "on"}, True, True),
        ({"choice": "off"}, False, None),
        ({"device": torch.device("cpu")}, False, None),
        ({"dtype": torch.float16}, False, None),
        ({"dtype": torch.bfloat16}, True, False),
        ({"assignment": "tal"}, False, None),
        ({"parts": 2}, False, None),
    ],
)
def test_steps_are_graphs_where_these_were_compared(
    change: dict[str, Any], has_graphs: bool, is_required: bool | None
) -> None:
    given = {"device": torch.device("cuda:1"), "dtype": torch.float32, "assignment": "ssd"}
    graphs = choose_graphs(**{"choice": "auto", "parts": 1, **given, **change})
    assert (graphs is not None) == has_graphs
    assert graphs is None or graphs.is_required == is_required


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_captured_steps_learn_the_same(name: str) -> None:
    """Learning rates, which warm up, and weights of the average differ in each of the steps."""
    overrides = (f"optim.name={name}", "optim.warmup_epochs=4")
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
