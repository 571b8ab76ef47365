"""Torchvision's MobileNetV2 classifier, and where its ImageNet weights come from."""

import re
from pathlib import Path
from urllib.error import URLError

from torch.hub import download_url_to_file, get_dir
from torchvision.models import MobileNet_V2_Weights

from vision.convert.mapping import Source, next_in_sequence
from vision.errors import WeightsError
from vision.model.roles import Role

__all__ = ["TORCHVISION", "download", "trunk_key"]

EXPANDED = {"expand": "0.0", "depthwise": "1.0", "project": "2"}
FIRST_BLOCK = {"depthwise": "0.0", "project": "1"}


def trunk_key(role: Role) -> str:
    """The key of a convolution of the trunk."""
    if role.part == "stem":
        return "features.0.0"
    if role.part == "last":
        return "features.18.0"
    step = (FIRST_BLOCK if role.index == 1 else EXPANDED)[role.step]
    return f"features.{role.index}.conv.{step}"


TORCHVISION = Source(
    name="torchvision",
    preset="torchvision",
    image_size=(320, 320),
    conv=trunk_key,
    norm=lambda role: next_in_sequence(trunk_key(role)),
    trunk_only=True,
    licence="BSD-3-Clause (torchvision); trained on ImageNet, whose images have terms of their own",
)


def download(name: str) -> Path:
    """The file of torchvision's ``IMAGENET1K_V1`` or ``IMAGENET1K_V2``, from its cache or the net.

    Nothing of it is read.

    Raises:
        WeightsError: If there is no network and no cached file.
    """
    url = MobileNet_V2_Weights[name].url
    path = Path(str(get_dir())) / "checkpoints" / url.rpartition("/")[2]
    checksum = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            prefix = checksum[1] if checksum else None
            download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{url} cannot be fetched ({error}); fetch it on another machine, then: ssdlite convert"
            " torchvision FILE --out W.safetensors, and model.init=W.safetensors"
        ) from error
    return Path(path)
