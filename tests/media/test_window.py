"""The live view: its rate, and the line where no window can be opened."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from jaxtyping import UInt8
from numpy import ndarray

from tests.media.samples import plain
from vision.errors import ConfigError
from vision.media import Window


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[UInt8[ndarray, "h w 3"]]:
    """What windows show, each image half a second after the one before; the third ends it."""
    images: list[UInt8[ndarray, "h w 3"]] = []
    monkeypatch.setattr("vision.media.window._why_not", lambda: "")
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, image: images.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(images) == 3 else -1)
    monkeypatch.setattr("time.perf_counter", lambda: 0.5 * len(images))
    return images


def test_images_are_shown_with_their_rate(
    shown: list[UInt8[ndarray, "h w 3"]], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    put = cv2.putText

    def note(image: ndarray, text: str, *others: Any) -> None:  # noqa: ANN401
        texts.append(text)
        put(image, text, *others)

    monkeypatch.setattr(cv2, "putText", note)
    window, image = Window("ssdlite"), plain(90)
    image[..., 0] = 200
    window.show(image)
    window.show(image)
    with pytest.raises(KeyboardInterrupt):
        window.show(image)
    assert set(texts) == {"2.0 frames/s"}
    assert shown[0][0, 0].tolist() == [90, 90, 200]  # BGR
    np.testing.assert_array_equal(shown[0], image[..., ::-1])
    assert (shown[1] != shown[0]).any()
    assert (image == [200, 90, 90]).all()


linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")


@pytest.mark.parametrize(
    ("variables", "said", "message"),
    [
        pytest.param({}, None, "there is no display, as on servers", marks=linux),
        pytest.param({"JPY_PARENT_PID": "1"}, None, "this notebook's machine has no", marks=linux),
        ({"DISPLAY": ":1"}, b"The function is not implemented. Rebuild", "not opencv-python-headl"),
        ({"DISPLAY": ":1"}, b"could not connect", "the display :1 cannot be opened; omit --show"),
    ],
)
def test_why_there_is_no_window(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: bytes | None, message: str
) -> None:
    def run(command: Sequence[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        assert said is not None
        return subprocess.CompletedProcess(command, 1, b"", said)

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "JPY_PARENT_PID", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ConfigError, match=f"^--show cannot be used: .*{message}"):
        Window("ssdlite")


@linux
def test_a_display_that_is_not_there_does_not_abort_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    with pytest.raises(ConfigError, match="the display :987 cannot be opened"):
        Window("ssdlite")
