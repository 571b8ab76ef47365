"""Packages that only export and other runtimes need."""

from importlib import import_module
from types import ModuleType

from vision.errors import ConfigError

__all__ = ["need"]


def need(package: str) -> ModuleType:
    """The package of this name.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ConfigError(
            f'the package {package} is not installed; pip install "ssdlite[export]"'
        ) from error
