"""The code of docs/examples that takes no other machine."""

import matplotlib as mpl
import numpy as np
import pytest

from tests.test_package import FENCED, ROOT
from vision.detector import Detector
from vision.images import read_image

PHOTO = f"{mpl.get_data_path()}/sample_data/grace_hopper.jpg"


@pytest.mark.slow
def test_ray_s_worker_takes_a_batch_as_ray_makes_it() -> None:
    """Images of different sizes come as an array of objects."""
    page = (ROOT / "docs/examples/ray.md").read_text(encoding="utf-8")
    (code,) = (text for language, text in FENCED.findall(page) if language == "python")
    shown: dict[str, object] = {"__name__": "shown"}
    exec(compile(code, "shown", "exec"), shown)  # noqa: S102
    photo = read_image(PHOTO)
    images = np.empty(2, object)
    images[:] = [photo, photo[:300]]
    detect = shown["Detect"]
    assert isinstance(detect, type)
    found = detect("coco")({"path": np.array(["a", "b"]), "image": images})
    expected = Detector.load("coco")([photo, photo[:300]])
    assert [len(names) for names in found["names"]] == [len(one) for one in expected]
    assert found["names"][0] == ["person", "tie"]
    for boxes, one in zip(found["boxes"], expected, strict=True):
        np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), one.boxes, atol=0.01)
    assert list(found["path"]) == ["a", "b"]
