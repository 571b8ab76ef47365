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
"""The argument of `train` for each command-line option that a message may name."""
_OPTION = re.compile("|".join(_ARGUMENTS))


def train(
    config: Config | str | Path = "finetune",
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    resume: bool = False,
) -> Metrics | None:
    """Train like ``ssdlite train``, which writes weights, log, pictures and report to a run folder.

    Args:
        config: A `Config` from `load_config`, the name of a configuration in the package, or a
            YAML file.
        out: The run folder, which must not hold a run yet, except with ``resume``. The default is
            ``runs/`` with the name of the configuration, or ``runs/train`` for a `Config`.
        data: A folder of images and boxes in any recognised layout; it replaces the configuration's
            data.
        resume: Whether to continue the run in ``out`` from its last checkpoint.

    Returns:
        The metrics of the best weights; None without validation data.

    Raises:
        VisionError: One of its subclasses, for a fault that the user can correct.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is written.
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
    """Measure average precision and more, like ``ssdlite eval``; print it with `Metrics.table`.

    Args:
        detector: A detector, or weights that `Detector.load` takes. Its score threshold is not
            applied, because it would cut the precision-recall curves.
        data: A folder of images and boxes in any recognised layout, of which the validation part is
            used; or a `Config`, of which ``data.val`` is used.

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
    """Replace command-line options in the messages of errors by arguments of `train`."""
    try:
        yield
    except VisionError as error:
        error.args = (_OPTION.sub(lambda found: _ARGUMENTS[found[0]], str(error)),)
        raise
