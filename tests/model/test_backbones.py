"""What every backbone has to give."""

import pytest

from vision.model import Backbone


def test_a_backbone_without_feature_maps_cannot_be_made() -> None:
    class Partial(Backbone):
        pass

    with pytest.raises(TypeError, match="feature_maps"):
        Partial()  # type: ignore[abstract]
