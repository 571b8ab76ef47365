"""The run folder: the paths of its files, and its lock."""

from contextlib import ExitStack
from pathlib import Path

from vision.atomic import remove_partial
from vision.engine.checkpoint import Checkpoints
from vision.engine.distributed import Processes
from vision.errors import TrainingError
from vision.locks import locked


class RunFolder:
    """The paths of a run's files, and the lock of its folder.

    Args:
        path: The folder.
        resume: Whether the folder may hold a run, which is then continued.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self.resume = resume
        self._lock = ExitStack()
        self.config = path / "config.yaml"  # complete, with the values that were chosen
        self.environment = path / "environment.json"
        self.log = path / "log.csv"
        self.metrics = path / "metrics.json"  # of the best weights
        self.best = path / "best.safetensors"  # according to the evaluations so far
        self.last = path / "last.safetensors"
        self.start = path / "start.safetensors"  # if the run starts from a detector's weights
        self.states = path / "states"  # what --resume continues from
        self.tensorboard = path / "tensorboard"
        self.pictures = path / "pictures"
        self.curves = path / "curves.png"
        self.sheet = path / "augmentation.png"

    def check(self) -> None:
        """Make sure that a run may be written here, without creating anything.

        Raises:
            TrainingError: If the folder holds a run that is not to be resumed, or other files.
        """
        try:
            held = {path.name for path in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise TrainingError(f"run folder {self.path} cannot be used: {error}") from error
        is_run = not held.isdisjoint({self.states.name, self.environment.name})
        visible = {name for name in held if not name.startswith(".")}
        if visible - {self.tensorboard.name} and not is_run:
            run = "run that --resume could continue" if self.resume else "run"
            raise TrainingError(
                f"folder {self.path} holds other files and no {run}; name another with --out"
            )
        if visible and not self.resume:
            raise TrainingError(
                f"run folder {self.path} exists; continue it with --resume, or name another"
                " with --out"
            )

    def has_checkpoints(self, processes: Processes) -> bool:
        """Return whether the folder has checkpoints; all processes must see the same.

        Raises:
            TrainingError: If some processes see checkpoints and others do not.
        """
        found = bool(Checkpoints(self.states).paths())
        if len({*processes.gather([found], processes.size)}) > 1:
            raise TrainingError(
                f"some machines have checkpoints in {self.states} and others have none: put the"
                " run folder on a file system that they share (--out)"
            )
        return found

    def make(self) -> None:
        """Create the folder, lock it, and remove unfinished files of a killed run.

        Raises:
            ConfigError: If another process uses the folder.
            TrainingError: If the folder cannot be written, or holds a run in the meantime.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(locked(self.path))
            self.check()
            remove_partial(self.path)
        except OSError as error:
            raise TrainingError(f"run folder {self.path} cannot be used: {error}") from error

    def close(self) -> None:
        """Release the folder's lock."""
        self._lock.close()
