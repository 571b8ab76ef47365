"""Weights on the Hugging Face Hub, which a server on loopback stands in for."""

import re
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants

from tests.runs import command_with, exit_code, same_weights
from tests.weights.hub_server import COMMIT, TOKEN, Hub, serve
from vision.cli.main import main
from vision.errors import ConfigError, WeightsError
from vision.weights import SHIPPED, find_weights, load_weights
from vision.weights.hub import HubName, parse_name, push

CARD: dict[str, Path | bytes] = {"README.md": b"text"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        url = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hf://user/name", HubName("user/name")),
        (str(Path("hf://user/name").as_posix()), HubName("user/name")),
        ("hf://u/n@v1", HubName("u/n", None, "v1")),
        ("hf://u/n/a/b.onnx", HubName("u/n", "a/b.onnx")),
        ("hf://u/n/best.safetensors@refs/pr/1", HubName("u/n", "best.safetensors", "refs/pr/1")),
    ],
)
def test_the_parts_of_a_name(name: str, expected: HubName) -> None:
    assert parse_name(name) == expected


@pytest.mark.parametrize("name", ["hf://", "hf://user", "hf://user/", "hf://a b/c", "hf://u/n@"])
def test_names_of_another_form(name: str) -> None:
    with pytest.raises(WeightsError, match=f"weights {re.escape(name)}: expected hf://user/name,"):
        find_weights(name)


@pytest.mark.slow
def test_what_is_pushed_comes_back(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["push", "voc", "hf://user/mine"]) == 0
    assert f"are at {hub.address}/user/mine; use them" in capsys.readouterr().out
    files = hub.repos["user/mine"]
    assert set(files) == {"model.safetensors", "README.md", "LICENSE", "NOTICE"}
    assert files["model.safetensors"] == SHIPPED["voc"].read_bytes()
    _, head, page = files["README.md"].decode().split("---\n", 2)
    assert yaml.safe_load(head)["license"] == "apache-2.0"
    assert yaml.safe_load(head)["pipeline_tag"] == "object-detection"
    assert "detector of 20 classes" in page
    assert 'Detector.load("hf://user/mine", score=0.4)' in page
    monkeypatch.delenv("HF_TOKEN")
    for name in ("hf://user/mine", Path("hf://user/mine@v1"), f"hf://user/mine@{COMMIT}"):
        assert same_weights(find_weights(name), SHIPPED["voc"])
    assert load_weights("hf://user/mine").names == load_weights("voc").names
    hub.repos.clear()
    # What is in the cache needs no hub.
    assert same_weights(find_weights(f"hf://user/mine@{COMMIT}"), SHIPPED["voc"])
    assert "cannot be reached" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_page_has_the_metrics_of_the_run(
    hub: Hub, learnt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["push", str(learnt), "hf://user/scenes", "--licence", "mit"]) == 0
    files = hub.repos["user/scenes"]
    assert set(files) == {"model.safetensors", "README.md"}
    page = files["README.md"].decode()
    assert "license: mit" in page
    metrics = load_weights(learnt).training["metrics"]
    voc, coco = metrics["voc"], metrics["coco"]
    assert f"| mean | {voc['mAP50']:.3f} | {coco['AP']:.3f} |" in page
    assert f"| star | {voc['per_class']['star']:.3f} | {coco['per_class']['star']:.3f} |" in page


def test_openvino_s_two_files_lie_side_by_side(hub: Hub) -> None:
    hub.repos["user/exported"] = {"a/w.xml": b"<net/>", "a/w.bin": b"weights"}
    path = find_weights("hf://user/exported/a/w.xml")
    assert path.read_bytes() == b"<net/>"
    assert path.with_suffix(".bin").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf://user/none", "it does not exist or you have no access; log in with hf auth login"),
        ("hf://user/private", "it does not exist or you have no access; log in with hf auth login"),
        ("hf://user/open@v9", "it has no revision v9"),
        ("hf://user/open", "it has no file model.safetensors; name one as hf://user/open/FILE"),
        ("hf://user/no--such", "the hub does not allow this name"),
    ],
)
def test_what_is_not_there_is_one_line(hub: Hub, name: str, words: str) -> None:
    hub.repos.update({"user/open": {"x": b""}, "user/private": {"model.safetensors": b""}})
    hub.private.add("user/private")
    repo = parse_name(name).repo
    with pytest.raises(WeightsError, match=f"^weights hf://{repo}: {re.escape(words)}") as raised:
        find_weights(name)
    assert "\n" not in str(raised.value)


def test_without_a_connection_it_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the library's tries
    hub.repos["user/name"] = {"model.safetensors": b"x" * 100_000}
    hub.cut = True
    with pytest.raises(WeightsError, match=r"^weights hf://user/name: the connection failed"):
        find_weights("hf://user/name")
    hub.status, hub.cut = 503, False
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(WeightsError, match=r"^push to hf://user/name: .*HTTP 503"):
        push("hf://user/name", CARD)


def test_a_hub_that_fails_is_asked_once_and_the_cache_is_used(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "vision")
    slept = list[float]()
    monkeypatch.setattr(time, "sleep", slept.append)
    hub.repos["user/name"] = {"model.safetensors": b"content"}
    hub.status = 503
    with pytest.raises(WeightsError, match=r"^weights hf://user/name: the hub cannot be reached"):
        find_weights("hf://user/name")
    assert caplog.messages == [f"weights hf://user/name: asking {hub.address}"]
    hub.status = 200
    cached = find_weights("hf://user/name")
    hub.status = 503
    assert find_weights("hf://user/name") == cached
    assert cached.read_bytes() == b"content"
    assert caplog.messages[-1].endswith(f"{hub.address} cannot be reached; using the cached file")
    assert slept == []


def test_offline_it_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"^weights hf://user/name: the hub cannot be reached"):
        find_weights("hf://user/name")
    with pytest.raises(WeightsError, match=r"HF_HUB_OFFLINE forbids connections"):
        push("hf://user/name", CARD)


def test_pushing_takes_a_token_and_a_repository(hub: Hub) -> None:
    with pytest.raises(WeightsError, match=r"^push to hf://user/name: .*hf auth login"):
        push("hf://user/name", CARD)
    with pytest.raises(WeightsError, match=r"pushed to hf://user/name, without a file or revision"):
        push("hf://user/name@v1", CARD)
    assert hub.repos == {}


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r'huggingface_hub is not installed.*"\.\[hub\]"'):
        find_weights("hf://user/name")


@pytest.mark.slow
def test_commands_take_the_address_from_hf_endpoint_and_print_no_token(
    learnt: Path, tmp_path: Path
) -> None:
    stdout, stderr = tmp_path / "stdout", tmp_path / "stderr"
    streams, home = (str(stdout), str(stderr)), str(tmp_path / "home")

    with serve() as hub:

        def ssdlite(token: str, *words: str) -> int | None:
            environment = {"HF_ENDPOINT": hub.address, "HF_HOME": home, "HF_TOKEN": token}
            return exit_code(partial(command_with, words, *streams, **environment))

        assert ssdlite(TOKEN, "push", str(learnt), "hf://user/scenes") == 0
        assert "README.md are at http://127.0.0.1:" in stdout.read_text("utf-8")
        assert TOKEN not in stdout.read_text("utf-8") + stderr.read_text("utf-8")
        hub.private.add("user/scenes")
        assert ssdlite(f"{TOKEN}_wrong", "info", "hf://user/scenes") == 2
    said = stderr.read_text("utf-8")
    assert said.startswith("ssdlite info: error: weights hf://user/scenes: it does not exist")
    assert TOKEN not in stdout.read_text("utf-8") + said
    assert {TOKEN, f"{TOKEN}_wrong"} <= set(hub.tokens)
