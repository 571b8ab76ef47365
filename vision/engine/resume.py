"""What a state holds of a run, and how a run takes it up again."""

from pathlib import Path
from typing import Any

from vision.engine.run import Run
from vision.engine.state import chance, restore_chance
from vision.errors import TrainingError

__all__ = ["check_same", "restore", "snapshot"]

FIXED = (
    "model",
    "optim.name",
    "optim.layer_decay",
    "train.batch_size",
    "train.seed",
    "images",
    "steps of an epoch",
)
"""Keys that a run cannot go on without."""
FREE = ("model.init", "model.postprocess")
"""Those below them that it can."""


def snapshot(run: Run) -> dict[str, Any]:
    """All of a run that changes while it goes on, but its progress."""
    return {
        "model": run.model.state_dict(),
        "ema": None if run.ema is None else run.ema.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "schedule": run.schedule.state_dict(),
        "scaler": run.scaler.state_dict(),
        "chance": chance(),
        "names": run.names,
        "config": _known(run),
    }


def _known(run: Run) -> dict[str, Any]:
    """The configuration, and what else decides how a run goes on."""
    facts: dict[str, Any] = {"images": run.sampler.length, "steps of an epoch": len(run.sampler)}
    facts["number format"] = str(run.number_format)
    return _flat(run.config.model_dump(mode="json")) | facts


def restore(run: Run, state: dict[str, Any]) -> None:
    """Take up a state of the same network.

    An average that the state lacks starts from its weights.
    """
    run.model.load_state_dict(state["model"])
    if run.ema is not None and state["ema"] is not None:
        run.ema.load_state_dict(state["ema"])
    elif run.ema is not None:
        run.ema.module.load_state_dict(state["model"])
    fresh = [
        {key: value for key, value in group.items() if key not in {"params", "lr"}}
        for group in run.optimizer.param_groups
    ]
    base_lrs = list(run.schedule.base_lrs)
    run.optimizer.load_state_dict(state["optimizer"])
    run.schedule.load_state_dict(state["schedule"])
    # What the configuration says now holds from the next step on.
    run.schedule.base_lrs = base_lrs
    factor = run.schedule.lr_lambdas[0](run.schedule.last_epoch)
    for group, values, base in zip(run.optimizer.param_groups, fresh, base_lrs, strict=True):
        group.update(values, lr=base * factor)
    if state["scaler"] and run.scaler.is_enabled():
        run.scaler.load_state_dict(state["scaler"])
    restore_chance(state["chance"])


def check_same(run: Run, state: dict[str, Any], folder: Path) -> list[str]:
    """Changes of the configuration since a state was written, in lines for a person.

    Raises:
        TrainingError: If with one of them the run cannot go on.
    """
    now = _known(run)
    before = state["config"]
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    lines = [f"changed since: {key} {before.get(key)} -> {now.get(key)}" for key in changed]
    fixed = [
        line
        for key, line in zip(changed, lines, strict=True)
        if _is_below(key, FIXED) and not _is_below(key, FREE)
    ]
    if state["names"] != run.names:
        fixed.append(f"classes {', '.join(state['names'])} -> {', '.join(run.names)}")
    if fixed:
        raise TrainingError(
            f"the states in {folder} are of another run ({'; '.join(fixed)}); resume with the"
            " configuration they were made with, or name another --out"
        )
    return lines


def _is_below(key: str, prefixes: tuple[str, ...]) -> bool:
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
