"""The page for browsers, opened in Chromium.

What detects there is ONNX Runtime for browsers. To run the test with it:

    curl -O https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-1.30.0.tgz
    export SSDLITE_ONNXRUNTIME_WEB=$PWD/onnxruntime-web-1.30.0.tgz
"""

import base64
import hashlib
import os
import re
import shutil
import tarfile
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from tests.browser import Site, needs_browser, opened
from vision.cli.main import main
from vision.data.fetch import Archive
from vision.detector import Detector
from vision.errors import ConfigError
from vision.export import web

RUNTIME = os.environ.get("SSDLITE_ONNXRUNTIME_WEB", "")
PHOTO = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
PAGE = """
const frame = document.createElement("iframe");
frame.src = "index.html";
document.body.append(frame);
await new Promise(done => frame.onload = done);
const page = frame.contentDocument, status = page.getElementById("status");
const post = (found) => fetch("/", {method: "POST", body: JSON.stringify(found)});
const changed = () => new Promise(done => {
  const observer = new MutationObserver(() => { observer.disconnect(); done(); });
  observer.observe(status, {childList: true});
});
"""
"""Opens the page in a frame."""
DETECT = """
while (status.textContent !== "Ready.") await changed();
async function detect(name) {
  const files = new DataTransfer(), input = page.getElementById("file");
  files.items.add(new File([await (await fetch(name)).blob()], name));
  input.files = files.files;
  const found = new Promise(done => {
    page.addEventListener("detections", (event) => done(event.detail), {once: true});
  });
  input.dispatchEvent(new Event("change"));
  const isDone = (text) => text.startsWith(name) && !text.endsWith("...");
  while (!isDone(status.textContent)) await changed();
  const text = status.textContent;
  return status.className ? {text} : {text, ...await found};
}
const found = {};
for (const name of NAMES) found[name] = await detect(name);
const items = () => page.getElementById("objects").children.length, before = items();
page.getElementById("score").value = 1;
page.getElementById("score").dispatchEvent(new Event("input"));
const after = items(), camera = page.getElementById("camera"), frames = [];
page.addEventListener("detections", (event) => frames.push(event.detail.name));
camera.click();
while (frames.length < 3) await changed();
camera.click();
await post({found, before, after, frames, label: camera.textContent});
"""


def test_a_page_has_one_form_and_is_no_backend() -> None:
    with pytest.raises(ConfigError, match="form raw is not for a page; take nms"):
        web.page_spec("raw", "fp32")
    with pytest.raises(ConfigError, match="precision int8 is not for a page; take fp32 or fp16"):
        web.page_spec("nms", "int8")
    with pytest.raises(ConfigError, match="there is no backend web"):
        Detector.load("voc", backend="web")


def test_the_runtime_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, archive = tmp_path / "content", tmp_path / "page" / "runtime.tgz"
    content.mkdir()
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        for name in ("another.wasm", *web.RUNTIME_FILES):
            (content / name).write_text(name)
            packed.add(content / name, f"package/dist/{name}")
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(web, "RUNTIME", Archive("http://127.0.0.1:1/runtime.tgz", digest, 1))
    for _ in range(2):
        web.add_runtime(archive.parent)
        left = {path.name: path.read_text() for path in archive.parent.iterdir()}
        assert left == {name: name for name in web.RUNTIME_FILES}


@pytest.mark.slow
@needs_browser
def test_without_the_runtime_a_page_resizes_as_opencv_and_says_what_is_missing(
    exported: dict[str, Path], tmp_path: Path
) -> None:
    """Equal on most processors; sums of numbers of 32 bits may round either way."""
    page = web.write_page(Path(shutil.copy(exported["onnx"], tmp_path / "w.onnx")))
    text = page.read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,"]
    note = "document.documentElement.dataset.status = byId('status').textContent"
    probed = text.replace("</body>", f"<script>setTimeout(() => {{ {note} }})</script></body>")
    assert "python -m http.server" in opened(probed, 500, tmp_path)["status"]
    sizes = [(375, 500), (50, 200), (128, 128), (1, 1), (256, 256), (600, 100), (1200, 900)]
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 4), np.uint8) for size in sizes]
    for index, image in enumerate(images):
        (tmp_path / f"{index}.rgba").write_bytes(image.tobytes())
    script = """
    while (!status.className) await changed();
    const results = await Promise.all(SIZES.map(async ([height, width], index) => {
      const data = new Uint8Array(await (await fetch(`${index}.rgba`)).arrayBuffer());
      const row = (y) => data.subarray(4 * width * y, 4 * width * (y + 1));
      const pixels = frame.contentWindow.resize(row, [height, width], [128, 192]);
      return btoa(Array.from(pixels, (value) => String.fromCharCode(value)).join(""));
    }));
    await post([status.textContent, results]);
    """.replace("SIZES", str([list(size) for size in sizes]))
    text, results = Site(tmp_path, PAGE + script).findings(tmp_path / "profile")
    assert text.partition(" ")[0] in web.RUNTIME_FILES
    assert "cannot be loaded (the server answers 404)" in text
    assert web.RUNTIME.url in text
    for image, result, (height, width) in zip(images, results, sizes, strict=True):
        is_area = height > 256 or width > 384
        method = cv2.INTER_AREA if is_area else cv2.INTER_LINEAR
        expected = cv2.resize(image[..., :3], (192, 128), interpolation=method)
        pixels = np.frombuffer(base64.b64decode(result), np.uint8).reshape(128, 192, 3)
        errors = np.abs(pixels.astype(int) - expected)
        assert errors.max() <= 1
        assert errors.mean() < 0.01


@pytest.mark.slow
@needs_browser
@pytest.mark.skipif(not RUNTIME, reason="SSDLITE_ONNXRUNTIME_WEB names no archive of npm")
def test_a_page_answers_as_pytorch_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    shutil.copy(RUNTIME, folder)
    assert main(["export", "coco", "--to=web", "--out", str(folder), "--images", str(PHOTO)]) == 0
    assert f"python -m http.server -b localhost -d {folder}" in capsys.readouterr().out
    names = {"coco_nms_fp32.onnx", "index.html", *web.RUNTIME_FILES}
    assert {path.name for path in folder.iterdir()} == names
    with Image.open(PHOTO) as photo:
        turned = photo.getexif()
        turned[0x0112] = 6
        photo.save(folder / "turned.jpg", exif=turned)
        photo.resize((2400, 2100)).save(folder / "large.png")
        photo.resize((300, 200)).save(folder / "small.png")
    (folder / "text.jpg").write_text("no image")
    photos = ["turned.jpg", "large.png", "small.png"]
    site = Site(folder, PAGE + DETECT.replace("NAMES", str([*photos, "text.jpg"])))
    answer = site.findings(
        tmp_path / "profile",
        ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
    )
    assert set(answer["frames"]) == {"camera"}
    assert answer["label"] == "Use the camera"
    assert answer["before"] > answer["after"] == 0
    found = answer["found"]
    assert found["text.jpg"] == {"text": "text.jpg is not an image that this browser can read."}
    detector = Detector.load("coco", 0.1)
    for name in photos:
        expected = detector(folder / name)
        rows = [row for row in found[name]["detections"] if row["score"] >= 0.1]
        assert len(expected) > 1
        assert [row["name"] for row in rows] == [row.name for row in expected]
        scores, boxes = zip(*((row["score"], row["box"]) for row in rows), strict=True)
        np.testing.assert_allclose(scores, expected.scores, atol=1e-3)
        assert expected.size is not None
        height, width = expected.size
        sides = np.array([width, height, width, height]) / 300  # pixels of the network's input
        np.testing.assert_allclose(
            np.array(boxes) / sides, expected.boxes.numpy() / sides, atol=0.5
        )
