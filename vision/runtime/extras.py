"""Packages that only export and other runtimes need."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from vision.errors import ConfigError

__all__ = ["require_package", "silenced"]


def require_package(package: str, extra: str = "export") -> ModuleType:
    """The package of this name, which an extra of ours brings.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ConfigError(
            f'the package {package} is not installed; pip install "ssdlite[{extra}]"'
        ) from error


@contextmanager
def silenced() -> Iterator[None]:
    """Without the warnings and output of libraries."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
