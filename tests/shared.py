"""Where the real data lie that some checks use, if they are here at all."""

from pathlib import Path

import pytest

SHARED: Path = Path(__file__).resolve().parents[2] / "shared"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="../shared is not here: real data are checked only where it is"
)
