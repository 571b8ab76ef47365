"""Names of devices, and why one cannot be used."""

import pytest
import torch

from vision.config import config_from_dict
from vision.device import choose_device
from vision.errors import ConfigError


def raise_error(*_: object, **__: object) -> None:
    raise RuntimeError("CUDA error\nand more lines")


@pytest.mark.parametrize(
    ("name", "device"), [("gpu", "cuda"), ("GPU", "cuda"), ("0", "cuda:0"), ("cpu", "cpu")]
)
def test_a_gpu_by_another_name_is_cuda(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    one = torch.ones(1)

    def zeros(_: int, device: torch.device) -> torch.Tensor:
        used.append(device)
        return one

    monkeypatch.setattr(torch, "zeros", zeros)
    assert choose_device(name) == torch.device(device)
    assert used == [torch.device(device)]
    assert config_from_dict({}, [f"train.device={name}"]).train.device == device


@pytest.mark.parametrize(
    ("name", "count", "version", "said"),
    [
        (
            "gpu",
            0,
            None,
            "device gpu cannot be used: this build of PyTorch has no CUDA support; try cpu",
        ),
        ("cuda", 0, "12.8", "cannot be used: PyTorch finds no GPU with a suitable driver; try"),
        ("2", 2, "12.8", "device 2 cannot be used: the GPUs are numbered 0 to 1; try cpu"),
        ("1", 2, "12.8", "device 1 cannot be used: CUDA error; try cpu"),
    ],
)
def test_a_gpu_that_is_not_there_is_one_line(
    name: str, count: int, version: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "zeros", raise_error)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(ConfigError) as caught:
        choose_device(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misspelt_device_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"^there is no device cdua; did you mean cuda\?$"):
        choose_device("cdua")
    with pytest.raises(ConfigError, match="there is no device tpu9; there are cpu, cuda, mps"):
        choose_device("tpu9")
