"""Post-training quantisation of LiteRT graphs to 8 bits, calibrated on images."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy import ndarray

from vision.choices import Precision
from vision.extras import require_package, silenced
from vision.progress import progress
from vision.runtime.backend import Images

INPUT = "images"
"""Name of the input of a graph."""
_NETWORK = r".*vision\.model\..*"
"""Pattern for the names of the network's layers; decoding and scores stay in float."""


class _Samples(list[dict[str, ndarray]]):
    """Calibration images with a progress bar; the quantiser first counts them, then reads them."""

    bar: Iterable[dict[str, ndarray]] | None = None
    is_counted = False

    def __iter__(self) -> Iterator[dict[str, ndarray]]:
        if self.bar is None or not self.is_counted:
            self.is_counted = self.bar is not None
            return super().__iter__()
        return iter(self.bar)


def quantise_litert(model: bytes, precision: Precision, calibration: Images) -> bytes:
    """Quantise layers to 8 bits, weights by channel: the network's, or with int8full all.

    With int8w, only the weights are quantised.
    """
    quantizer = require_package("ai_edge_quantizer.quantizer", "litert").Quantizer
    samples = _Samples(
        {INPUT: image.astype(np.float32) if precision == "int8full" else image}
        for image in calibration
    )
    if samples:
        samples.bar = progress(list(samples), "calibrate", unit=" images")
    with tempfile.TemporaryDirectory(prefix="ssdlite-") as folder, silenced():
        source, target = Path(folder) / "model.tflite", Path(folder) / "quantised.tflite"
        source.write_bytes(model)
        one = quantizer(str(source))
        if precision == "int8w":
            one.add_weight_only_config(_NETWORK, "*", num_bits=8)
        else:
            everything = precision == "int8full"
            one.add_static_config(
                ".*" if everything else _NETWORK, "*", activation_num_bits=8, weight_num_bits=8
            )
        ranges = one.calibrate({"serving_default": samples}) if samples else None
        one.quantize(ranges).export_model(str(target))
        return target.read_bytes()
