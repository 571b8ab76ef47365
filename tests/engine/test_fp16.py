"""Steps in fp16 whose gradients overflow: skipped by the scaler, and without a trace after it."""

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.runs import run_config
from vision.config import OptimConfig
from vision.data import read_sources
from vision.engine.build import build_run
from vision.engine.checkpoint import Checkpoints
from vision.engine.distributed import SINGLE_PROCESS
from vision.engine.optim import build_optimizer
from vision.engine.plan import Plan
from vision.engine.run import Run
from vision.engine.step import train_step
from vision.model import Losses, build_model
from vision.structures import Batch


def make_run(*overrides: str) -> Run:
    """A run whose loss is scaled as for fp16, in float32: on a CPU fp16 takes too long."""
    config = run_config("data.val=null", *overrides)
    annotations = read_sources(config.data.train, "data.train")
    run = build_run(Plan(config, annotations.names, annotations), torch.device("cpu"))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    run.state.scaler = scaler
    run.train_mode()
    return run


def batches(run: Run) -> list[Batch]:
    found = list(run.train_loader)
    assert len(found) == 2
    return found


def overflowing(run: Run) -> Run:
    """The same run, in whose steps the gradients of the last part of a batch overflow."""
    calls = itertools.count(1)

    def forward(*given: Any) -> Losses:  # noqa: ANN401
        losses = run.forward(*given)
        if next(calls) % run.settings.accumulate:
            return losses
        return Losses(*(value * 1e37 for value in losses))  # finite, but not times the scale

    return replace(run, forward=forward)


def weights_of(run: Run) -> list[Tensor]:
    values = [*run.state.model.parameters(), *run.state.eval_model.parameters()]
    return [value.detach().clone() for value in values]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # the reference's
@pytest.mark.parametrize(
    ("name", "clip_ratio", "accumulate", "ema_decay"),
    [
        # Each combination of any three of them.
        ("sgd", 0.01, 1, 0.0),
        ("sgd", 0.01, 2, 0.9),
        ("sgd", 1e6, 1, 0.9),
        ("sgd", 1e6, 2, 0.0),
        ("adamw", 0.01, 1, 0.9),
        ("adamw", 0.01, 2, 0.0),
        ("adamw", 1e6, 1, 0.0),
        ("adamw", 1e6, 2, 0.9),
    ],
)
def test_steps_that_overflow_are_as_if_they_had_not_been(
    name: str, clip_ratio: float, accumulate: int, ema_decay: float
) -> None:
    """But for the rate, the scale, the average's count and running statistics, which go on.

    The first step overflows, before which the optimizer has no state, and the third.
    """
    overrides = (
        f"optim.name={name}",
        f"optim.clip_ratio={clip_ratio}",
        f"train.accumulate={accumulate}",
        f"train.ema_decay={ema_decay}",
        "train.freeze_norms=true",
    )
    run, reference = make_run(*overrides), make_run(*overrides)
    given = batches(run)
    for step in range(4):
        before, overflows = weights_of(run), step in {0, 2}
        train_step(overflowing(run) if overflows else run, given[step % 2])
        if overflows:
            count = len(list(run.state.model.parameters()))
            assert all(map(torch.equal, before[:count], weights_of(run)[:count]))
            reference.state.schedule.step()
        else:
            reference.state.scaler.load_state_dict(
                reference.state.scaler.state_dict() | {"scale": run.state.scaler.get_scale()}
            )
            train_step(reference, given[step % 2])
    assert all(bool(value.isfinite().all()) for value in weights_of(run))
    for ours, theirs in zip(
        run.state.model.parameters(), reference.state.model.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_resumed_after_a_first_step_that_overflowed(
    tmp_path: Path, name: str, ema_decay: float
) -> None:
    """To the bit, the scaler's scale and its count of good steps included."""
    overrides = (f"optim.name={name}", f"train.ema_decay={ema_decay}", "train.accumulate=2")
    unbroken, resumed = make_run(*overrides), make_run(*overrides)
    given, checkpoints = batches(unbroken), Checkpoints(tmp_path)
    train_step(overflowing(unbroken), given[0])
    checkpoints.save(unbroken.state)
    assert checkpoints.restore(resumed.state, SINGLE_PROCESS)
    for batch in (given[1], given[0], given[1]):
        train_step(unbroken, batch)
        train_step(resumed, batch)
    assert unbroken.state.scaler.state_dict() == resumed.state.scaler.state_dict()
    for ours, theirs in zip(weights_of(unbroken), weights_of(resumed), strict=True):
        assert torch.equal(ours, theirs)
        assert bool(ours.isfinite().all())


def no_numbers(value: Tensor, **kwargs: Any) -> Tensor:  # noqa: ANN401
    """What `torch.empty_like` may give."""
    return torch.full_like(value, math.nan, **kwargs)


def test_momentum_is_not_left_unwritten_by_a_first_step_that_the_scaler_skips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Why fp16 ended with infinite weights.

    Fused SGD allocates its momenta in its first step and leaves writing them to its kernel, which
    does nothing in a step that overflowed; the next one added what was in that memory.
    """
    model = build_model(run_config().model, 3)
    optimizer = build_optimizer(OptimConfig(lr=0.1, weight_decay=0), model)
    monkeypatch.setattr(torch, "empty_like", no_numbers)
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    before = [value.detach().clone() for value in model.parameters()]
    for gradient in (math.inf, 1.0):
        for value in model.parameters():
            value.grad = torch.full_like(value, gradient)
        scaler.scale(torch.zeros(1))
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    for ours, start in zip(model.parameters(), before, strict=True):
        # The second step's scale is half the first one's, so that its gradient is 1 / 0.5.
        torch.testing.assert_close(ours.detach(), start - 0.1 * 2.0)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weights_that_were_frozen_when_a_checkpoint_was_written_start_from_rest(
    name: Literal["sgd", "adamw"],
) -> None:
    models = [build_model(run_config().model, 3) for _ in range(2)]
    models[0].backbone.requires_grad_(requires_grad=False)
    config = OptimConfig(name=name, lr=0.1, weight_decay=0)
    before, after = (build_optimizer(config, model) for model in models)
    for optimizer, model in ((before, models[0]), (after, models[1])):
        if optimizer is after:
            after.load_state_dict(before.state_dict())
        for value in model.parameters():
            value.grad = torch.ones_like(value) if value.requires_grad else None
        start = [value.detach().clone() for value in model.backbone.parameters()]
        optimizer.step()
    moved = [one - other for one, other in zip(start, models[1].backbone.parameters(), strict=True)]
    for change in moved:
        torch.testing.assert_close(change.detach(), torch.full_like(change, 0.1), rtol=1e-4, atol=0)
