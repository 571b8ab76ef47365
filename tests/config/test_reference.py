"""The reference of all keys in ``docs/configuration.md``."""

import re
from pathlib import Path

from tests.config.reference import reference
from vision.config.messages import all_keys
from vision.config.run import Config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_page_is_current() -> None:
    """Else: ``python -m tests.config.reference > docs/configuration.md``."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_it_has_every_key_with_its_meaning() -> None:
    rows = [line.split(" | ") for line in reference().splitlines() if line.startswith("| `")]
    keys = [row[0].strip("| `") for row in rows]
    assert set(all_keys(Config)) <= set(keys)
    assert {"data.train.root", "data.train.num_images"} <= set(keys)
    undocumented = [key for key, row in zip(keys, rows, strict=True) if not row[-1].strip(" |")]
    assert undocumented == []


def test_bounds_choices_and_defaults_are_shown() -> None:
    page = reference()
    for row in (
        r"`train\.batch_size` \| whole number ≥ 2 and ≤ 2,147,483,647 \| `32` \|",
        r"`train\.patience` \| whole number ≥ 1 and ≤ 1,000,000 or null \| `null` \|",
        r"`optim\.schedule` \| `cosine`, `multistep` \| `cosine` \|",
        r"`data\.train\.num_images` \| whole number ≥ 1 and ≤ 10,000,000 \| required \|",
        r"`model\.image_size` \| whole number, or \[height, width\] \| `\[320, 320\]` \|",
    ):
        assert re.search(row, page), row
