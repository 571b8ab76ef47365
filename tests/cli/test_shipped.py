"""Every shipped configuration trains and evaluates, on tiny data in its own format."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.formats.builders import voc_object, voc_xml, write_coco, write_split, write_voc
from tests.runs import read_log
from vision.cli.main import main
from vision.config import CocoSource, DataSource, VocSource, load_config, shipped_configs
from vision.weights import load_weights

pytestmark = pytest.mark.slow

SMALL = (
    *("model.image_size=128", "model.width_mult=0.25", "train.small.epochs=0"),
    *("train.epochs=1", "train.batch_size=2", "train.workers=0"),
)
BOX = (11, 6, 30, 25)


def write_data(root: Path, source: DataSource) -> Iterator[str]:
    """Two images in the layout that a source names, and the overrides that lead there."""
    if isinstance(source, VocSource):
        assert source.split is not None
        files = {"a": voc_xml(voc_object("cat", BOX)), "b": voc_xml(voc_object("dog", BOX))}
        write_split(write_voc(root, files), "a\nb\n", source.split.removesuffix(".txt"))
        yield f"root={root}"
    elif isinstance(source, CocoSource):
        assert source.split is not None
        content = {
            "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
            "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "unused"}],
            "annotations": [{"id": 1, "image_id": 2, "category_id": 3, "bbox": [10, 5, 20, 20]}],
        }
        write_coco(root, content, split=source.split)
        yield f"root={root}"
    else:
        yield "num_images=2"
        yield "image_size=128"


def overrides(folder: Path, name: str) -> Iterator[str]:
    """Lead a configuration to tiny data, source by source."""
    data = load_config(name).data
    for key, sources in (("data.train", data.train), ("data.val", data.val)):
        assert sources is not None
        for index, source in enumerate(sources if isinstance(sources, list) else [sources]):
            at = f"{key}.{index}" if isinstance(sources, list) else key
            for override in write_data(folder / at, source):
                yield f"{at}.{override}"


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_shipped_configuration_trains_and_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """From any folder, by its name."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", name, *SMALL, *overrides(tmp_path / "data", name)]) == 0
    run = Path("runs") / name
    row = read_log(run)[-1]
    assert row["epoch"] == "1"
    assert float(row["loss"]) > 0
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["num_images"] == 2
    assert list(metrics["voc"]["per_class"]) == load_weights(run / "best.safetensors").names
    assert len(list((run / "pictures").iterdir())) == 2
