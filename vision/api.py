"""Training and evaluation as plain functions, for scripts and notebooks."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vision.config import Config, config_from_dict, load_config, name_data
from vision.detector import Detector
from vision.engine import evaluate_detector
from vision.engine import train as train_config
from vision.errors import VisionError
from vision.metrics import Metrics
from vision.report import write_run_report

__all__ = ["evaluate", "train"]

_ARGUMENTS = {
    "--resume": "resume=True",
    "--data FOLDER": 'data="FOLDER"',
    "--data": "data=",
    "--config": "config=",
    "--out": "out=",
}
"""Arguments by the options of the same meaning, which messages name."""
_OPTION = re.compile("|".join(_ARGUMENTS))


def train(
    config: Config | str | Path = "finetune",
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    resume: bool = False,
) -> Metrics | None:
    """Train, as ``ssdlite train`` does: the run folder has weights, log, pictures and report.

    Args:
        config: A `Config` of `load_config`, the name of a configuration in the package, or a YAML
            file.
        out: The run folder, which must not hold a run yet; by default ``runs/`` and the name of
            the configuration, ``runs/train`` for a `Config`.
        data: A folder of images with boxes in any of the layouts that are recognised, in place of
            the configuration's data.
        resume: Continue after the last step that the run folder has a checkpoint of.

    Returns:
        The metrics of the best weights; None without validation data.

    Raises:
        VisionError: One of its children, for what a user can mend.
        KeyboardInterrupt: After Ctrl-C, when a checkpoint is written.
    """
    with _in_python():
        if isinstance(config, Config):
            name = "train"
            given = config.model_dump(mode="json", exclude_unset=True)  # the recipe sets the others
            config = config_from_dict(given, name_data(data))
        else:
            name = Path(config).stem
            config = load_config(config, name_data(data))
        folder = Path("runs") / name if out is None else Path(out)
        return train_config(config, folder, resume=resume, write_report=write_run_report)


def evaluate(detector: Detector | str | Path, data: Config | str | Path) -> Metrics:
    """Average precision and more, as ``ssdlite eval`` gives them; ``print(metrics.table())``.

    Args:
        detector: It is evaluated without its score threshold, which would cut the curves; or what
            `Detector.load` takes.
        data: A folder of images with boxes in any of the layouts that are recognised, whose
            validation part counts; or a `Config`, whose ``data.val`` counts.

    Raises:
        ConfigError: If a `Config` names no ``data.val``.
        DataError: If the data cannot be read, or have classes that the detector does not know.
    """
    config = data if isinstance(data, Config) else config_from_dict({}, name_data(data))
    loaded = detector if isinstance(detector, Detector) else Detector.load(detector)
    with _in_python():
        return evaluate_detector(loaded, config).metrics


@contextmanager
def _in_python() -> Iterator[None]:
    """Let errors name arguments in place of options of the command line."""
    try:
        yield
    except VisionError as error:
        error.args = (_OPTION.sub(lambda found: _ARGUMENTS[found[0]], str(error)),)
        raise
