"""Detection in images on the machines of a Ray cluster."""

import functools
import itertools
import logging
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vision.detection.bulk import open_images
from vision.detection.images import ImageDetector
from vision.detection.outcomes import Outcome
from vision.detection.settings import Settings
from vision.errors import DataError, VisionError
from vision.extras import require_package
from vision.media import MediaInput

logger = logging.getLogger(__name__)

LOCAL = "local"
"""Address of a cluster that consists of this machine only, and ends with the run."""
CHUNK = 32
"""Maximum number of images in a task."""
RETRIES = 10
"""How often a task is restarted after its process or machine was lost; then the run ends, so that
an image that crashes every process is not tried forever."""
WAIT_SECONDS = 60.0
"""Seconds without a result after which a warning is logged if no machine can run a task."""
_UNREACHABLE = "--ray {}: there is no such cluster ({}); check the address, or start the cluster"


def check_reachable(address: str) -> None:
    """Check that something answers at ``host:port``; Ray itself would keep trying for minutes.

    Raises:
        DataError: If nothing answers.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "/" in address:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError, ValueError) as error:  # no host, or none can have this name
        raise DataError(_UNREACHABLE.format(address, error)) from error


class _Need(NamedTuple):
    """The CPUs or GPUs that a task reserves on its machine."""

    kind: Literal["CPU", "GPU"]
    amount: int

    def options(self) -> dict[str, int]:
        """The reservation as arguments of ``ray.remote``."""
        return {f"num_{self.kind.lower()}s": self.amount}


def outcomes_on_ray(
    address: str, sources: Sequence[MediaInput], settings: Settings, options: Mapping[str, Any]
) -> Generator[tuple[MediaInput, Outcome]]:
    """Yield each image with its outcome, in any order.

    Images are sent to the machines in tasks of up to `CHUNK` images, each of which reserves
    ``settings.workers`` CPUs or one GPU. A task whose machine is lost is restarted on another one;
    machines that join the cluster get tasks too. All machines must see the images, the weights and,
    if files are written for each image, the output folder under the same paths; relative paths
    start at the working directory of this process.

    Args:
        address: Address of the cluster as for ``ray.init``; ``local`` starts one on this machine.
        sources: The images.
        settings: What is written.
        options: Arguments of `vision.Detector.load`.

    Raises:
        ConfigError: If Ray is not installed, or a machine cannot meet the options.
        WeightsError: If a machine cannot open the weights.
        DataError: If the cluster cannot be reached, or is lost.
    """
    on_gpu = options["device"] not in {None, "cpu"}  # By default tasks see no GPU.
    need = _Need("GPU", 1) if on_gpu else _Need("CPU", settings.workers)
    job = pickle.dumps((settings, options, str(Path.cwd())))
    with _connected(address) as ray:
        task = ray.remote(**need.options(), max_retries=RETRIES)(_detect)
        size = max(1, min(CHUNK, len(sources) // (4 * max(1, _capacity(ray, need)))))
        remaining = iter(sources)
        chunks = iter(lambda: list(itertools.islice(remaining, size)), [])  # until one is empty
        pending: dict[Any, list[MediaInput]] = {}
        _warn_without_room(ray, need)
        while True:
            room = max(1, 2 * _capacity(ray, need) - len(pending))
            for chunk in itertools.islice(chunks, room):
                pending[task.remote(job, chunk)] = chunk
            if not pending:
                return
            for ref in _wait(ray, list(pending), need):
                yield from zip(pending.pop(ref), ray.get(ref), strict=True)


def _detect(job: bytes, sources: Sequence[MediaInput]) -> list[Outcome]:
    """Return the outcomes of a chunk of images; this is a task of Ray."""
    return [outcome for _, outcome in _open_job(job).outcomes(sources)]


@functools.lru_cache(maxsize=1)
def _open_job(job: bytes) -> ImageDetector:
    """Load the detector of a run, once in each process of Ray for all of its tasks."""
    settings, options, folder = pickle.loads(job)  # noqa: S301 - from `outcomes_on_ray`
    with suppress(OSError):  # Absolute paths do not need it.
        os.chdir(folder)
    return open_images(settings, options)


def _capacity(ray: Any, need: _Need) -> int:  # noqa: ANN401
    """Number of tasks that the machines which are alive can run at once."""
    machines = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return sum(int(machine.get(need.kind, 0)) // need.amount for machine in machines)


def _wait(ray: Any, pending: list[Any], need: _Need) -> list[Any]:  # noqa: ANN401
    """Wait until at least one task is done; return the tasks that are done."""
    while not (done := ray.wait(pending, timeout=WAIT_SECONDS)[0]):
        _warn_without_room(ray, need)
    found: list[Any] = done
    return found


def _warn_without_room(ray: Any, need: _Need) -> None:  # noqa: ANN401
    if not _capacity(ray, need):
        logger.warning(
            "no machine of the cluster has the %d %s that a task needs; waiting for one",
            need.amount,
            need.kind,
        )


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect Ray to a cluster; keep our signal handler, and turn its errors into this package's.

    Ray's messages, such as about lost machines, go to standard error, apart from our output.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require_package("ray", "ray")
    handler = signal.getsignal(signal.SIGTERM)
    options = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **options)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(_UNREACHABLE.format(address, reason)) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray's handler ends the process at once.
    try:
        with redirect_stdout(sys.stderr):
            yield ray
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, VisionError) else error from None
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"--ray {address}: {reason}; continue with --resume") from error
    finally:
        ray.shutdown()
