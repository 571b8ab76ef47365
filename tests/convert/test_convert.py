"""Other projects' weights: the converted network answers as theirs does."""

import importlib.util
import pickle
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torchvision
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.ssd import SSD

import vision.boxes as box_ops
from tests.convert import original_layouts as original
from tests.detectors import decoded_by
from tests.reference_model import randomise
from vision.config import Config, ModelConfig
from vision.convert import convert_weights, load_initial_weights
from vision.errors import WeightsError
from vision.model import MobileNetV2, build_model, build_post_process
from vision.model.layers import BlockStyle
from vision.model.variants import VARIANTS
from vision.weights import SavedBackbone, SavedDetector, match_network, save_weights, start_from
from vision.weights.labels import COCO_NAMES

SIDES = {"qfgaohao": 300, "lufficc": 320, "mmdetection": 320}


def pictures(side: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (1, 3, side, side), generator=generator, dtype=torch.uint8)


def labels(folder: Path, *names: str) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(("BACKGROUND", *names)), encoding="utf-8")
    return path


def converted(source: str, path: Path, names: Path | None = None) -> SavedDetector:
    saved = convert_weights(source, str(path), names)
    assert isinstance(saved, SavedDetector)
    return saved


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "layout", "prefixes", "decode"),
    [
        (
            "qfgaohao",
            original.Qfgaohao,
            ("classification_headers.", "regression_headers."),
            partial(original.shrinking_boxes, side=300, last=330),
        ),
        (
            "lufficc",
            original.Lufficc,
            ("box_head.predictor.cls_headers.", "box_head.predictor.reg_headers."),
            partial(original.shrinking_boxes, side=320, last=330),
        ),
        (
            "mmdetection",
            original.Mmdetection,
            ("bbox_head.cls_convs.", "bbox_head.reg_convs."),
            original.mmdetection_boxes,
        ),
    ],
)
def test_equals_the_original_layout(
    tmp_path: Path,
    source: str,
    layout: type[nn.Module],
    prefixes: tuple[str, str],
    decode: Callable[[Tensor], Tensor],
) -> None:
    theirs = layout(2).eval()
    randomise(theirs)
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "w.pth")
    saved = converted(source, tmp_path / "w.pth", labels(tmp_path, "cat", "dog"))
    assert saved.names == ["cat", "dog"]
    images = pictures(SIDES[source])
    with torch.no_grad():
        maps = theirs(images)
        found = saved.model(images)
        expected = []
        for prefix, values in zip(prefixes, (3, 4), strict=True):
            heads = theirs.get_submodule(prefix[:-1])
            assert isinstance(heads, nn.ModuleList)
            parts = []
            for head, level in zip(heads, maps, strict=True):
                parts.append(
                    original.rows(
                        getattr(head, "conv", head)(level)
                        if not isinstance(head, nn.Conv2d)
                        else head(level),
                        values,
                    )
                )
            expected.append(torch.cat(parts, dim=1))
    logits = expected[0] if source == "mmdetection" else expected[0].roll(-1, dims=2)
    assert logits.std() > 0.01
    assert_close(found.logits, logits, rtol=1e-4, atol=1e-4)
    assert_close(found.offsets, expected[1], rtol=1e-4, atol=1e-4)
    relative = box_ops.to_corners(box_ops.decode(found.offsets, saved.model.priors))
    corners = decode(expected[1]) / SIDES[source]
    assert_close(relative, corners, rtol=1e-4, atol=1e-4)


def frozen_graph(path: Path, variables: Mapping[str, np.ndarray]) -> Path:
    graph = GraphDef()
    for name, value in variables.items():
        node = graph.node.add(name=name, op="Const")
        dims = [TensorShapeProto.Dim(size=side) for side in value.shape]
        node.attr["value"].tensor.CopyFrom(
            TensorProto(
                dtype=1, tensor_shape=TensorShapeProto(dim=dims), tensor_content=value.tobytes()
            )
        )
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.mark.slow
@pytest.mark.parametrize("multiplier", [0.35, 1.0])
def test_equals_the_tensorflow_graph(tmp_path: Path, multiplier: float) -> None:
    variables = original.tensorflow_variables(2, multiplier, seed=0)
    graph = frozen_graph(tmp_path / "g.pb", variables)
    saved = converted("tensorflow", graph, labels(tmp_path, "cat", "dog"))
    assert saved.config.model.width_mult == multiplier
    with torch.no_grad():
        codes, logits = original.tensorflow_forward(variables, pictures(300))
        found = saved.model(pictures(300))
    offsets = original.in_our_order(codes)[..., [1, 0, 3, 2]]
    assert_close(found.offsets, offsets, rtol=1e-4, atol=1e-4)
    expected = original.in_our_order(logits).roll(-1, dims=2)
    assert_close(found.logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
)
@pytest.mark.filterwarnings("default")
def test_a_tf1_checkpoint_is_read_with_its_averages(tmp_path: Path) -> None:
    import tensorflow.compat.v1 as tf  # noqa: PLC0415

    variables = original.tensorflow_variables(2, 0.35, seed=0)
    averaged = [name for name in variables if name.endswith(("weights", "biases"))]
    assert len(averaged) > 50
    stored = {name: value + (name in averaged) for name, value in variables.items()}
    stored |= {f"{name}/ExponentialMovingAverage": variables[name] for name in averaged}
    stored |= {f"{name}/RMSProp": value for name, value in variables.items()}
    stored["global_step"] = np.array(7, np.int64)
    with tf.Graph().as_default(), tf.Session() as session:
        kept = {name: tf.Variable(value) for name, value in stored.items()}
        session.run(tf.global_variables_initializer())
        tf.train.Saver(kept).save(session, str(tmp_path / "model.ckpt"), global_step=7)
    names = labels(tmp_path, "cat", "dog")
    found = converted("tensorflow", tmp_path / "model.ckpt-7", names).model.state_dict()
    graph = converted("tensorflow", frozen_graph(tmp_path / "g.pb", variables), names)
    for key, value in graph.model.state_dict().items():
        assert torch.equal(found[key], value), key
    data = tmp_path / "model.ckpt-7.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"model\.ckpt-7 cannot be read") as caught:
        convert_weights("tensorflow", str(tmp_path / "model.ckpt-7"), names)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_tensorflow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.ckpt.index").touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(WeightsError, match=r'pip install "\.\[tensorflow\]"'):
        convert_weights("tensorflow", str(tmp_path / "model.ckpt"))


@pytest.mark.slow
def test_slots_of_coco_that_have_no_class_are_left_out(tmp_path: Path) -> None:
    variables = original.tensorflow_variables(90, 0.35, seed=0)
    saved = converted("tensorflow", frozen_graph(tmp_path / "g.pb", variables))
    assert saved.names == [name for _, name in sorted(COCO_NAMES.items())]
    with torch.no_grad():
        found = saved.model(pictures(300)).logits
        _, logits = original.tensorflow_forward(variables, pictures(300))
    slots = [*sorted(COCO_NAMES), 0]
    first = slice(0, 19 * 19 * 3)
    assert_close(found[:, first], logits[:, first][..., slots], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "layout", "count", "first", "last"),
    [
        ("qfgaohao", original.Qfgaohao, 20, "aeroplane", "tvmonitor"),
        ("mmdetection", original.Mmdetection, 80, "person", "toothbrush"),
    ],
)
def test_well_known_numbers_of_classes_need_no_labels(
    tmp_path: Path, source: str, layout: type[nn.Module], count: int, first: str, last: str
) -> None:
    torch.save(layout(count).state_dict(), tmp_path / "w.pth")
    names = converted(source, tmp_path / "w.pth").names
    assert (len(names), names[0], names[-1]) == (count, first, last)


def test_other_numbers_need_labels_that_fit(tmp_path: Path) -> None:
    torch.save(original.Qfgaohao(3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="--labels"):
        converted("qfgaohao", tmp_path / "w.pth")
    for wrong, message in ((("a", "b"), "name 2 classes"), (("a", "b", "a"), "twice")):
        with pytest.raises(WeightsError, match=message):
            converted("qfgaohao", tmp_path / "w.pth", labels(tmp_path, *wrong))


@pytest.mark.slow
def test_missing_unknown_and_misshaped_keys_are_listed(tmp_path: Path) -> None:
    state = original.Qfgaohao(2).state_dict()
    state["surplus.weight"] = torch.zeros(1)
    del state["base_net.0.0.weight"]
    state["extras.0.conv.0.weight"] = torch.zeros(256, 1280, 3, 3)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        converted("qfgaohao", tmp_path / "w.pth", labels(tmp_path, "cat", "dog"))
    for part in ("missing base_net.0.0.weight", "unknown surplus.weight", "(256, 1280, 3, 3)"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.ClearField("tensor_content"), "is damaged"),
        (
            lambda tensor: tensor.__setattr__("tensor_content", tensor.tensor_content[:-8]),
            "is damaged",
        ),
        (lambda tensor: tensor.__setattr__("dtype", 99), "is damaged"),
        (
            lambda tensor: tensor.tensor_shape.CopyFrom(
                TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(tensor.tensor_content) // 4)])
            ),
            "expected four dimensions",
        ),
    ],
)
def test_a_damaged_constant_is_named(
    tmp_path: Path, change: Callable[[TensorProto], object], message: str
) -> None:
    path = frozen_graph(tmp_path / "g.pb", original.tensorflow_variables(2, 0.35, seed=0))
    graph = GraphDef()
    graph.ParseFromString(path.read_bytes())
    node = next(node for node in graph.node if node.name.endswith("/weights"))
    change(node.attr["value"].tensor)
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(WeightsError, match=message) as caught:
        convert_weights("tensorflow", str(path), labels(tmp_path, "cat", "dog"))
    assert node.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor(1.0),
        torch.zeros(0, 576, 1, 1),
        torch.zeros(24, 1280, 1, 1, dtype=torch.int64),
        torch.full((24, 1280, 1, 1), torch.nan),
    ],
)
def test_an_odd_tensor_is_named(tmp_path: Path, value: Tensor) -> None:
    state = original.Qfgaohao(2).state_dict()
    key = "regression_headers.1.3.weight"
    assert key in state
    state[key] = value
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth") as caught:
        converted("qfgaohao", tmp_path / "w.pth", labels(tmp_path, "cat", "dog"))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_label_map_may_leave_tensorflows_slots_out_and_that_is_told(tmp_path: Path) -> None:
    names = tmp_path / "m.pbtxt"
    names.write_text("item { id: 2 name: 'dog' }", encoding="utf-8")
    graph = frozen_graph(tmp_path / "g.pb", original.tensorflow_variables(3, 0.35, seed=0))
    saved = converted("tensorflow", graph, names)
    assert saved.names == ["dog"]
    assert saved.training["left out"] == "2 of 3 classes without a name: 1, 3"
    torch.save(original.Qfgaohao(3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="name 1 classes up to number 2"):
        converted("qfgaohao", tmp_path / "w.pth", names)


def test_a_fetched_file_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    path = tmp_path / "hub" / "checkpoints" / name
    path.parent.mkdir(parents=True)
    for content in (nn.Linear(1, 1), None):
        path.write_bytes(b"") if content is None else torch.save(content, path)
        with pytest.raises(WeightsError, match=name) as caught:
            convert_weights("torchvision", "IMAGENET1K_V1")
        assert "\n" not in str(caught.value)
    torch.save(torchvision.models.mobilenet_v2().state_dict(), path)
    assert isinstance(convert_weights("torchvision", "IMAGENET1K_V1"), SavedBackbone)


def test_torchvisions_backbone_gives_the_same_features(tmp_path: Path) -> None:
    theirs = torchvision.models.mobilenet_v2()
    randomise(theirs)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    saved = convert_weights("torchvision", str(tmp_path / "w.pth"))
    assert isinstance(saved, SavedBackbone)
    ours = MobileNetV2(0, style=BlockStyle(norm_eps=VARIANTS["torchvision"].norm_eps)).eval()
    ours.load_state_dict({k.removeprefix("backbone."): v for k, v in saved.tensors.items()})
    images = torch.randn(1, 3, 96, 96)
    assert_close(ours.features(images), theirs.eval().features(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("preset", "side", "num_classes", "count", "num_priors"),
    [
        ("tensorflow", 300, 80, 4_337_013, 1917),
        ("qfgaohao", 300, 20, 3_388_228, 3000),
        ("mmdetection", 320, 80, 4_228_788, 3234),
    ],
)
def test_parameters_and_priors_are_as_many_as_theirs(
    preset: str, side: int, num_classes: int, count: int, num_priors: int
) -> None:
    config = ModelConfig.model_validate({"preset": preset, "image_size": side})
    model = build_model(config, num_classes)
    assert sum(value.numel() for value in model.parameters()) == count
    assert len(model.priors) == num_priors


@pytest.mark.parametrize("source", ["qfgaohao", "lufficc", "mmdetection", "torchvision"])
@pytest.mark.slow
def test_what_is_no_weights_file_is_one_line(tmp_path: Path, source: str) -> None:
    path = tmp_path / "w.pth"
    torch.save({"features.0.0.weight": torch.zeros(3)}, path)
    complete = path.read_bytes()
    for content in (b"", b"text", complete[: len(complete) // 2], complete):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"w\.pth") as caught:
            convert_weights(source, str(path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["module", "module, old form", "plain pickle"])
def test_a_pickle_with_code_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.pth"
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps({"state_dict": print}))
    else:
        content = {"state_dict": nn.Linear(1, 1)}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "module")
    with pytest.raises(WeightsError, match=r"would run code on loading; if you trust it") as caught:
        convert_weights("qfgaohao", str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"\x0a\xff\xff"])
def test_what_is_no_graph_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.pb").write_bytes(content)
    with pytest.raises(WeightsError, match=r"g\.pb") as caught:
        convert_weights("tensorflow", str(tmp_path / "g.pb"))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_start_matches_classes_by_name_across_voc_and_coco(tmp_path: Path) -> None:
    config = ModelConfig(image_size=(128, 128), width_mult=0.25)
    theirs = build_model(config, 3)
    randomise(theirs)
    path = tmp_path / "w.safetensors"
    save_weights(path, theirs, Config(model=config), ["dog", "airplane", "kite"], {})
    ours = build_model(config, 2)
    initial = ours.state_dict()["class_heads.0.1.weight"].reshape(6, 3, -1).clone()
    start = start_from(ours, load_initial_weights(str(path)), ["aeroplane", "zebra"], str(path))
    assert start.origin == str(path)
    lines = start.lines
    assert start.known == ["aeroplane"]
    assert any(
        "know: aeroplane; new, initialised with the mean of their 3: zebra" in x for x in lines
    )
    mine = ours.state_dict()["class_heads.0.1.weight"].reshape(6, 3, -1)
    source = theirs.state_dict()["class_heads.0.1.weight"].reshape(6, 4, -1)
    assert torch.equal(mine[:, 0], source[:, 1])
    assert_close(mine[:, 1], initial[:, 1] + source[:, :3].mean(dim=1))
    assert torch.equal(mine[:, 2], source[:, 3])
    backbone = "backbone.features.0.0.weight"
    assert torch.equal(ours.state_dict()[backbone], theirs.state_dict()[backbone])


@pytest.mark.slow
def test_a_start_matches_the_same_name_before_one_of_the_same_meaning(tmp_path: Path) -> None:
    config, names = ModelConfig(image_size=(128, 128), width_mult=0.25), ["sofa", "couch", "TV"]
    theirs = build_model(config, 3)
    randomise(theirs)
    path = tmp_path / "w.safetensors"
    save_weights(path, theirs, Config(model=config), names, {})
    ours = build_model(config, 4)
    names = ["couch", "tvmonitor", "sofa", "Sofa"]
    start = start_from(ours, load_initial_weights(str(path)), names, str(path))
    assert start.known == names
    mine = ours.state_dict()["class_heads.0.1.weight"].reshape(6, 5, -1)
    source = theirs.state_dict()["class_heads.0.1.weight"].reshape(6, 4, -1)
    assert torch.equal(mine[:, :3], source[:, [1, 2, 0]])


@pytest.mark.slow
def test_a_start_says_which_heads_cannot_be_matched(tmp_path: Path) -> None:
    """TensorFlow's finest map has three priors a cell, ours has six."""
    config = ModelConfig(preset="tensorflow", image_size=(128, 128))
    path = tmp_path / "w.safetensors"
    save_weights(path, build_model(config, 1), Config(model=config), ["dog"], {})
    ours = ModelConfig(image_size=(128, 128))
    lines = start_from(
        build_model(ours, 1), load_initial_weights(str(path)), ["dog"], str(path)
    ).lines
    assert any("the weights know: dog; new, initialised" in line for line in lines)
    assert "random for all classes, since priors or layers differ: class_heads.0" in lines


@pytest.mark.slow
@pytest.mark.parametrize("necks", [("none", "fpn"), ("fpn", "none")])
def test_a_start_from_another_network_leaves_all_heads_random(
    tmp_path: Path, necks: tuple[Literal["none", "fpn"], ...]
) -> None:
    """Level 5 has as many channels in both, but is another map."""
    configs = [ModelConfig(neck=neck, image_size=(128, 128), width_mult=0.25) for neck in necks]
    theirs, ours = (build_model(config, 2) for config in configs)
    randomise(theirs)
    path = tmp_path / "w.safetensors"
    save_weights(path, theirs, Config(model=configs[0]), ["dog", "cat"], {})
    initial = {key: value.clone() for key, value in ours.state_dict().items()}
    start = start_from(ours, load_initial_weights(str(path)), ["dog", "cat"], str(path))
    assert (
        "classes: the weights have no heads that fit, so all are initialised at random"
        in start.lines
    )
    assert start.known == []
    after, source = ours.state_dict(), theirs.state_dict()
    for key, value in after.items():
        if "_heads." in key or key.startswith("neck."):
            assert torch.equal(value, initial[key])
        elif not key.startswith("pixel_"):
            assert torch.equal(value, source[key])


def ssdlite320(num_classes: int) -> SSD:
    """Torchvision's detector with random weights; ``num_classes`` without background."""
    theirs: SSD = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=num_classes + 1
    )
    randomise(theirs)
    return theirs.eval()


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("reduced_tail", [True, False])
def test_torchvisions_ssdlite_gives_the_same_scores_and_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reduced_tail: bool
) -> None:
    """Its tail is full where it was begun from ImageNet's weights."""

    def backbone(**given: Any) -> nn.Module:  # noqa: ANN401
        network: nn.Module = mobilenet_v3_large(**given | {"reduced_tail": reduced_tail})
        return network

    monkeypatch.setattr("torchvision.models.detection.ssdlite.mobilenet_v3_large", backbone)
    theirs = ssdlite320(3)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    saved = converted("torchvision", tmp_path / "w.pth", labels(tmp_path, "a", "b", "c"))
    assert saved.config.model.preset == ("torchvision_ssdlite" if reduced_tail else "ssdlite")
    images = pictures(320)
    predictions = saved.model(images)
    maps = list(theirs.backbone(images / 127.5 - 1).values())
    expected = theirs.head(maps)
    assert expected["cls_logits"].std() > 0.1
    assert_close(predictions.logits, expected["cls_logits"].roll(-1, dims=2), rtol=0, atol=1e-4)
    assert_close(predictions.offsets, expected["bbox_regression"], rtol=0, atol=1e-4)
    post_process = build_post_process(saved.config.model)
    (found,) = post_process(decoded_by(saved.model, images), [(320, 320)])
    (expected,) = theirs(images / 255)
    assert len(found) == 300
    assert_close(found.scores, expected["scores"], rtol=0, atol=1e-4)
    assert_close(found.boxes / 320, expected["boxes"] / 320, rtol=0, atol=1e-4)
    assert torch.equal(found.labels, expected["labels"] - 1)


@pytest.mark.slow
def test_torchvisions_coco_detector_has_cocos_names(tmp_path: Path) -> None:
    theirs = ssdlite320(90)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    saved = converted("torchvision", tmp_path / "w.pth")
    assert saved.names == list(COCO_NAMES.values())
    assert sum(value.numel() for value in theirs.parameters()) == 3_440_060


@pytest.mark.slow
def test_imagenet_is_of_the_backbone_that_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    theirs = torchvision.models.mobilenet_v3_large()
    url = torchvision.models.MobileNet_V3_Large_Weights.IMAGENET1K_V2.url
    path = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), path)
    saved = load_initial_weights("imagenet", "mobilenet_v3_large")
    assert isinstance(saved, SavedBackbone)
    expected = {f"backbone.{key}" for key in theirs.state_dict() if "classifier" not in key}
    assert saved.tensors.keys() == expected
    for name in ("MobileNet_V3_Large_Weights.IMAGENET1K_V2", str(path)):
        again = convert_weights("torchvision", name)
        assert isinstance(again, SavedBackbone)
        assert torch.equal(
            again.tensors["backbone.features.16.0.weight"], theirs.features[16][0].weight
        )
    given = ModelConfig(backbone="mobilenet_v3_large")
    config, warnings = match_network(given, saved)
    assert (config.preset, config.backbone, warnings) == (
        "torchvision_v3",
        "mobilenet_v3_large",
        [],
    )
    model = build_model(config, 2)
    start = start_from(model, saved, ["a", "b"], "imagenet")
    loaded = [key for key in saved.tensors if not key.endswith("num_batches_tracked")]
    assert start.lines[0].startswith(f"start from imagenet: {len(loaded)} of ")
    for key, value in saved.tensors.items():
        assert torch.equal(model.state_dict()[key], value), key


@pytest.mark.slow
@torch.no_grad()
def test_a_start_from_another_backbone_takes_nothing(tmp_path: Path) -> None:
    """Their extra layers and coarse heads have the same shapes, but look at other features."""
    configs = [
        ModelConfig(backbone=backbone, image_size=(128, 128), width_mult=0.25)
        for backbone in ("mobilenet_v2", "mobilenet_v3_large")
    ]
    theirs, ours = (build_model(config, 1) for config in configs)
    path = tmp_path / "w.safetensors"
    save_weights(path, theirs, Config(model=configs[0]), ["dog"], {})
    saved = load_initial_weights(str(path))
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    start = start_from(ours, saved, ["dog"], str(path))
    assert start.known == []
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())
    config, warnings = match_network(configs[1], saved)
    assert config == configs[1]
    assert [line.split()[0] for line in warnings] == ["model.backbone"]
    config, warnings = match_network(ModelConfig(), saved)
    assert (config, warnings) == (configs[0], [])
