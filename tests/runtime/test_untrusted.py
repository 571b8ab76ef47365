"""Graphs whose metadata are not true: one line each, and no process that ends."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision.config import Config, ModelConfig
from vision.detector import Detector
from vision.errors import WeightsError
from vision.runtime import openvino_backend
from vision.runtime.litert_backend import LiteRtBackend
from vision.runtime.metadata import Metadata

onnx: Any = pytest.importorskip("onnx")
HEIGHT, WIDTH, PRIORS = 128, 160, 5
NAMES = ["cat", "dog"]
FLOAT, BYTE = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
Change = Callable[[Any], object]


def graph(
    *,
    names: str = json.dumps(NAMES),
    image: tuple[int, ...] = (HEIGHT, WIDTH, 3),
    kind: int = BYTE,
    num_inputs: int = 1,
    outputs: Mapping[str, tuple[int, ...]] | None = None,
    score: float = 0.5,
) -> Any:  # noqa: ANN401
    """A graph that gives the same to all images, with our metadata."""
    outputs = {"boxes": (PRIORS, 4), "scores": (PRIORS, 2)} if outputs is None else outputs
    inputs = [f"images{number}" for number in range(num_inputs)]
    helper = onnx.helper
    nodes, constants = [], []
    for name, shape in outputs.items():
        sizes = np.array([1, *shape], np.int64)
        constants.append(onnx.numpy_helper.from_array(sizes, f"{name}_shape"))
        value = onnx.numpy_helper.from_array(np.array([score], np.float32))
        nodes.append(helper.make_node("ConstantOfShape", [f"{name}_shape"], [name], value=value))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(name, kind, ["batch", *image]) for name in inputs],
            [helper.make_tensor_value_info(n, FLOAT, [1, *shape]) for n, shape in outputs.items()],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    config = Config(model=ModelConfig(image_size=(HEIGHT, WIDTH)))
    strings = Metadata("decoded", "fp32", config, NAMES, {}).to_strings("images", list(outputs))
    onnx.helper.set_model_props(model, strings | {"names": names})
    return model


def write(model: Any, folder: Path, backend: str) -> Path:  # noqa: ANN401
    if backend == "onnx":
        path = folder / "g.onnx"
        path.write_bytes(model.SerializeToString())
        return path
    openvino = pytest.importorskip("openvino")
    path = folder / "g.xml"
    openvino.save_model(openvino_backend._convert(model), path, compress_to_fp16=False)
    return path


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_graph_that_fits_its_metadata_is_opened(tmp_path: Path, backend: str) -> None:
    detector = Detector.load(write(graph(), tmp_path, backend), 0.2)
    assert detector.names == NAMES
    (found,) = detector([np.zeros((10, 10, 3), np.uint8)])
    assert found.scores.tolist() == [0.5] * len(found)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ({"names": '"abcdef"'}, "names: "),
        ({"names": "5"}, "names: "),
        ({"names": "null"}, "names: "),
        ({"names": '["cat", "cat"]'}, "'cat' is given twice"),
        ({"names": '["cat", ""]'}, "one is empty"),
        ({"names": '["cat"]'}, "scores of 1 classes; found"),
        ({"names": json.dumps([f"{n}" for n in range(30)])}, "scores of 30 classes; found"),
        ({"image": (WIDTH, HEIGHT, 3)}, "expected images of 128 x 160"),
        ({"image": (3, HEIGHT, WIDTH)}, "expected images of 128 x 160"),
        ({"image": ()}, "expected images of 128 x 160"),
        ({"num_inputs": 0}, "do not fit the graph"),
        ({"num_inputs": 2}, "do not fit the graph"),
        ({"outputs": {"boxes": (PRIORS, 4)}}, "do not fit the graph"),
        ({"outputs": {"scores": (PRIORS, 2), "boxes": (PRIORS, 4)}}, "do not fit the graph"),
        ({"outputs": {"boxes": (PRIORS, 4), "scores": (PRIORS - 1, 2)}}, "do not fit the graph"),
        ({"outputs": {"boxes": (), "scores": ()}}, "do not fit the graph"),
        ({"outputs": {"boxes": (0, 4), "scores": (0, 2)}}, "do not fit the graph"),
        ({"kind": FLOAT}, "do not run"),
        ({"score": float("nan")}, "do not return 2 finite scores"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_graph_of_which_the_metadata_lie_is_one_line(
    tmp_path: Path, backend: str, lie: dict[str, Any], message: str
) -> None:
    if backend == "openvino" and lie.get("kind") == FLOAT:
        pytest.skip("OpenVINO converts the pixels")
    path = write(graph(**lie), tmp_path, backend)
    with pytest.raises(WeightsError, match=message) as caught:
        Detector.load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_output_of_a_trillion_numbers_is_refused_unread(tmp_path: Path) -> None:
    outputs = {"boxes": (10**12, 4), "scores": (10**12, 2)}
    with pytest.raises(WeightsError, match=r"1,000,000,000,000 boxes"):
        Detector.load(write(graph(outputs=outputs), tmp_path, "onnx"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><net>&b;</net>', "cannot be read by OpenVINO"),
        ("<net>", "cannot be read by OpenVINO"),
    ],
    ids=["entity", "cut"],
)
def test_hostile_xml_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "g.bin").touch()
    path = tmp_path / "g.xml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(WeightsError, match=message) as caught:
        Detector.load(path)
    assert len(str(caught.value).splitlines()) == 1


def test_elements_within_each_other_have_a_limit(tmp_path: Path) -> None:
    """OpenVINO ends the process (SIGSEGV) where a graph's own metadata are nested so deeply."""
    path = write(graph(), tmp_path, "openvino")
    text = path.read_text(encoding="utf-8")
    assert text.count("</ssdlite>") == 1
    nested = "<a>" * 50_000 + "</a>" * 50_000
    path.write_text(text.replace("</ssdlite>", f"{nested}</ssdlite>"), encoding="utf-8")
    with pytest.raises(WeightsError, match="100 nested elements") as caught:
        Detector.load(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("place", [6, 8, 10, 20], ids=["version", "encrypted", "method", "size"])
def test_a_damaged_archive_in_a_tflite_file_is_one_line(tmp_path: Path, place: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ssdlite.json", "{}" * 500)
    data = bytearray(stream.getvalue())
    data[data.rfind(b"PK\x01\x02") + place] ^= 255  # a field of the archive's directory
    path = tmp_path / "a.tflite"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"a\.tflite were not written by ssdlite export$"):
        LiteRtBackend().read_metadata(path)
