"""Optional packages, which only an extra of the distribution installs."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from vision.errors import ConfigError, first_line


def require_package(package: str, extra: str = "export") -> ModuleType:
    """Import a package that an extra of the distribution installs.

    Raises:
        ConfigError: If it is not installed, or cannot be imported.
    """
    try:
        return import_module(package)
    except ImportError as error:
        is_missing = isinstance(error, ModuleNotFoundError)
        if is_missing and f"{package}.".startswith(f"{error.name or package}."):
            raise ConfigError(
                f"the package {package} is not installed; in ssdlite's folder, run"
                f' pip install ".[{extra}]"'
            ) from error
        # It is installed, but lacks, for example, a shared library or a package that it imports.
        raise ConfigError(
            f"the package {package} cannot be imported: {first_line(error)}; repair or reinstall it"
        ) from error


def package_version(package: str) -> str | None:
    """The version of an installed distribution; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@contextmanager
def silenced() -> Iterator[None]:
    """Silence warnings, log messages, output and progress bars of libraries."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        output = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
