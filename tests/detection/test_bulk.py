"""`BulkDetector`, and ``detect --ray`` where Ray is installed: the results of ``detect``."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tests.cli.test_detect import detect, weights
from tests.runs import contents, entries_in
from tests.test_package import FENCED, ROOT
from vision.detection import BulkDetector, Journal, Settings, outcomes_on_ray
from vision.errors import DataError
from vision.media import write_image

__all__ = ["weights"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory has a folder of pictures, of which one is damaged."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(24):
        image = rng.integers(0, 255, (40, 60 + number, 3), np.uint8)
        write_image(Path(f"photos/{number:02}.png"), image)
    Path("photos/03.png").write_bytes(b"damaged")
    return Path("photos")


@pytest.mark.slow
def test_a_batch_has_the_results_of_detect(weights: Path, photos: Path) -> None:
    assert detect(weights, Path("out"), photos, "--score=0.2", "--save=json") == 1
    entries = {entry["image"]: entry["detections"] for entry in entries_in(Path("out"))}
    paths = sorted(map(str, photos.iterdir()))
    found = BulkDetector(weights, score=0.2, workers=2)({"path": np.array(paths)})
    assert found["path"] == paths
    assert [bool(reason) for reason in found["failure"]] == [path not in entries for path in paths]
    for path, *rows in zip(*(found[k] for k in ("path", "labels", "scores", "boxes")), strict=True):
        expected = entries.get(path, [])
        assert rows == [[item[key] for item in expected] for key in ("label", "score", "box")]


@pytest.mark.parametrize(
    ("has_ray", "words", "line"),
    [
        (False, ["photos"], 'run pip install ".[ray]"'),
        (True, ["photos", "film.mp4"], "--ray: input film.mp4 is not an image"),
        (True, ["photos", "--show"], "--show has no window"),
        (True, ["photos", "--device=1"], "--ray chooses the GPU of each task; name --device cuda"),
        (True, ["photos", "--ray=127.0.0.1:1"], "--ray 127.0.0.1:1: there is no such cluster"),
        (True, ["photos", "--ray=head..local:1"], "--ray head..local:1: there is no such cluster"),
        (True, ["photos", "--ray=localhost:²"], "--ray localhost:²: there is no such cluster"),
    ],
)
def test_what_ray_cannot_do_is_one_line(
    weights: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    has_ray: bool,
    words: list[str],
    line: str,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray") if has_ray else None)
    Path("film.mp4").write_bytes(b"film")
    assert detect(weights, Path("out"), "--ray=local", *words) == 2
    assert line in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_cluster_that_is_lost_before_its_first_task_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen by the first question about its machines, of a module that stands for Ray."""
    lost, closed = type("RayError", (Exception,), {}), list[bool]()

    def nodes() -> None:
        raise lost("the head has gone\nmore")

    ray = ModuleType("ray")
    vars(ray).update(
        exceptions=SimpleNamespace(RayError=lost, RayTaskError=type("RayTaskError", (lost,), {})),
        init=lambda *_, **__: None,
        remote=lambda **_: lambda function: function,
        nodes=nodes,
        shutdown=lambda: closed.append(True),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    outcomes = outcomes_on_ray("local", [], Settings(Path()), {"device": None})
    with pytest.raises(DataError, match="--ray local: the head has gone; continue with"):
        next(outcomes)
    assert closed == [True]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_a_cluster_that_loses_a_machine_gives_the_files_of_one_process(
    weights: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of its machines, after the first images."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # By default a busy machine starves them.
    words = [photos, "--save=json,csv,yolo", "--score=0.2"]
    assert detect(weights, Path("one"), *words) == 1
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    finish, done = Journal.finish, list[str]()

    def lose(journal: Journal, name: str, *words: str) -> None:
        finish(journal, name, *words)
        done.append(name)
        if len(done) == 4:
            cluster.remove_node(other, allow_graceful=False)

    monkeypatch.setattr(Journal, "finish", lose)
    try:
        assert detect(weights, Path("many"), *words, f"--ray={cluster.address}") == 1
    finally:
        cluster.shutdown()
    assert len(done) == len({*done}) == 23
    one, many = contents(Path("one")), contents(Path("many"))
    del one[Journal.NAME], many[Journal.NAME]  # which stay, since an image failed
    assert many == one


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_ray_data_takes_the_page_s_example(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    page = (ROOT / "docs/examples/ray.md").read_text(encoding="utf-8")
    (code,) = (text for language, text in FENCED.findall(page) if language == "python")
    ray.init("local", num_cpus=2, include_dashboard=False)
    try:
        exec(compile(code, "shown", "exec"), {})  # noqa: S102
    finally:
        ray.shutdown()
    rows = parquet.read_table("found").to_pylist()
    assert sorted(Path(row["path"]).name for row in rows) == [f"{n:02}.png" for n in range(24)]
    assert [Path(row["path"]).name for row in rows if row["failure"]] == ["03.png"]
