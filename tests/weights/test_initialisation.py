"""What is known of weights that a training starts from: their licence, and heads that fit."""

import pytest
import torch

from vision.config import Config, ModelConfig
from vision.model import build_model
from vision.weights import SavedBackbone, SavedDetector, start_from
from vision.weights.initialisation import RARE
from vision.weights.migration import recorded_licence

LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet"


def test_the_licence_is_the_same_after_each_further_training() -> None:
    config = ModelConfig(width_mult=0.25, image_size=(128, 128))
    model = build_model(config, 1)
    tensors = model.backbone.state_dict(prefix="backbone.")
    origin = {"source": "torchvision", "file": "m.pth", "licence": LICENCE}
    saved: SavedBackbone | SavedDetector = SavedBackbone(tensors, config, origin)
    for _ in range(3):
        training = {"start": start_from(model, saved, ["dog"], "w.safetensors").origin}
        assert recorded_licence(training) == LICENCE
        saved = SavedDetector(model, Config(model=config), ["dog"], training)


@pytest.mark.slow
def test_a_head_of_other_layers_is_reported_and_starts_with_low_scores() -> None:
    """The last head is one 1x1 convolution in qfgaohao's network, two convolutions in ours."""
    values = {"image_size": 300, "width_mult": 0.25, "scores": "sigmoid"}
    theirs = ModelConfig.model_validate({**values, "preset": "qfgaohao"})
    saved = SavedDetector(build_model(theirs, 1), Config(model=theirs), ["dog"], {})
    model = build_model(ModelConfig.model_validate(values), 1)
    lines = start_from(model, saved, ["dog"], "w").lines
    assert lines[-1] == "random for all classes, since priors or layers differ: class_heads.5"
    bias = model.state_dict()["class_heads.5.1.bias"].view(6, 2)
    assert torch.equal(bias, torch.tensor([RARE, 0.0]).expand(6, 2))
