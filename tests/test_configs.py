"""Every shipped configuration loads, builds its network and heads itself with its command."""

from pathlib import Path

import pytest

from vision.config import load_config, shipped_configs
from vision.model import build_model


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("bccd", "bccd_fpn", "coco", "finetune", "quickstart"),
        *("voc", "voc0712", "voc_shipped", "voc_short"),
    ],
)
def test_shipped_configuration_loads_and_builds(name: str) -> None:
    config = load_config(name)
    model = build_model(config.model, 3)
    assert model.image_size == config.model.image_size
    assert config.data.train is not None
    text = Path(shipped_configs()[name]).read_text(encoding="utf-8")
    assert f"python train.py --config configs/{name}.yaml" in text
