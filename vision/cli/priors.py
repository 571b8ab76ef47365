"""``ssdlite priors``."""

import argparse
from collections import Counter

from vision.cli.options import data_words
from vision.cli.terminal import CommandResult, step
from vision.config import Config, load_config, name_data
from vision.convert import load_initial_weights
from vision.data import choose_classes, read_sources
from vision.engine.priors import MIN_GAIN, PriorFit, fit_priors
from vision.errors import ConfigError
from vision.weights import SavedDetector, match_network


def run(options: argparse.Namespace) -> CommandResult:
    """Print the recall of the configured and the fitted priors, and the YAML of the fitted ones."""
    config = load_config(options.config, [*name_data(options.data), *options.overrides])
    saved = None
    if config.model.init is not None:
        saved = load_initial_weights(config.model.init, config.model.backbone)
        model, _ = match_network(config.model, saved)
        config = config.model_copy(update={"model": model})
    if config.model.has_fixed_priors:
        raise ConfigError(f"preset {config.model.preset} has priors of its own, without scales")
    annotations = read_sources(config.data.train, "data.train")
    names, _ = choose_classes(config.data, annotations)
    fit = fit_priors(config, annotations, names)
    print(_describe(config, fit))
    print(f"\n{_advise(fit, is_detector=isinstance(saved, SavedDetector))}")
    words = ["train", *data_words(options)]
    if not isinstance(saved, SavedDetector) and fit.pays():
        words.append("model.priors=auto")
    return CommandResult(steps=[step(*words, why="Train on these data:")])


def _describe(config: Config, fit: PriorFit) -> str:
    """A table of the recall before and after the fit, with the classes that are reached least."""
    (height, width), iou = config.model.image_size, config.loss.match_iou
    rows = zip(
        ("configured", "fitted"),
        (config.model.priors, fit.priors),
        fit.recalls(),
        (fit.missed, fit.still_missed),
        strict=True,
    )
    lines = [
        f"{fit.total.total()} training boxes at {height} x {width} pixels",
        f"{'priors':12}min_scale  max_scale  best possible recall at IoU {iou:g}",
    ]
    lines += [
        f"{name:12}{priors.min_scale:9g}  {priors.max_scale:9g}  {recall:.3f}{_worst(fit, missed)}"
        for name, priors, recall, missed in rows
    ]
    return "\n".join(lines)


def _worst(fit: PriorFit, missed: Counter[str]) -> str:
    """The three classes with the most boxes that no prior reaches, as text."""
    worst = [f"{name} {count} of {fit.total[name]}" for name, count in missed.most_common(3)]
    return (
        f" (out of reach: {', '.join(worst)}{', ...' if len(missed) > 3 else ''})" if worst else ""
    )


def _advise(fit: PriorFit, *, is_detector: bool) -> str:
    """The YAML to paste, and advice whether to use it."""
    before, after = fit.recalls()
    if after <= before:
        return "nothing to gain: the fitted priors reach no more boxes than the configured ones"
    scales = ", ".join(f"{key}: {value:g}" for key, value in fit.priors.model_dump().items())
    if is_detector:
        advice = (
            "Do not use it in a training from these weights: with other priors, their heads start"
            " at random,\nwhich costs more than the additional boxes gain. It is for training from"
            " scratch."
        )
    elif fit.pays():
        advice = "Use it in a training from scratch; model.priors=auto does the same."
    else:
        advice = (
            f"A gain of less than {MIN_GAIN:.0%} of the boxes, averaged over the classes, was not"
            " measured to pay: try both.\nmodel.priors=auto keeps the configured priors."
        )
    return f"model:\n  priors: {{{scales}}}\n\n{advice}"
