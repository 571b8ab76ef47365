"""Reading less: reduced photographs, and images kept decoded."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.data import cached, read_synthetic, reduced
from vision.errors import DataError
from vision.formats import AnnotatedObject, Record, Tally, make_record
from vision.images import reduced_size


def write(path: Path, size: tuple[int, int], orientation: int = 1) -> Path:
    """A smooth picture, dark to the left and above, with an EXIF orientation if it is no 1."""
    height, width = size
    ramp = np.add.outer(np.linspace(0, 100, height), np.linspace(0, 150, width))
    ok, data = cv2.imencode(path.suffix, np.repeat(ramp[..., None], 3, 2).astype(np.uint8))
    assert ok
    content = data.tobytes()
    if orientation != 1:
        exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"
        exif += bytes([orientation]) + b"\0" * 6
        content = (
            content[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + content[2:]
        )
    path.write_bytes(content)
    return path


def record_of(path: Path, size: tuple[int, int] | None = None) -> Record:
    return make_record(path, size, [AnnotatedObject("a", (100.0, 200.0, 300.0, 500.0))], Tally())


@pytest.mark.parametrize(
    ("size", "factor"),
    [((639, 2000), 1), ((1279, 1279), 2), ((1281, 1303), 2), ((2557, 4001), 4), ((5200, 6000), 8)],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.slow
def test_a_large_photograph_is_decoded_at_a_fraction(
    tmp_path: Path, size: tuple[int, int], factor: int, suffix: str
) -> None:
    original = record_of(write(tmp_path / f"a{suffix}", size))
    small = reduced(original, (320, 320))
    assert small.size == reduced_size(size, factor)
    image = small.read()
    assert image.shape[:2] == small.size
    if factor == 1:
        assert small is original
        return
    height, width = small.size
    scale = np.array([width / size[1], height / size[0]] * 2)
    assert small.boxes[0] == pytest.approx(original.boxes[0] * scale, rel=1e-6)
    assert small.areas[0] == pytest.approx(original.areas[0] * scale[0] * scale[1])
    expected = cv2.resize(original.read(), (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("annotated", [(1300, 1400), (1400, 1300)])
def test_a_turned_photograph_is_reduced_as_it_is_read(
    tmp_path: Path, annotated: tuple[int, int]
) -> None:
    """Annotated as seen, or as stored."""
    original = record_of(write(tmp_path / "a.jpg", (1300, 1400), orientation=6), annotated)
    assert original.size == annotated
    small = reduced(original, (320, 320))
    image = small.read()
    assert image.shape[:2] == small.size == reduced_size(annotated, 2)
    height, width = small.size
    expected = cv2.resize(original.read(), (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - expected).mean() < 2


def test_the_cache_gives_the_same_images_and_decodes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record_of(write(tmp_path / f"{k}.png", (600 + k, 500))) for k in range(70)]
    images = [record.read() for record in records]
    found = cached(records, tmp_path / "cache")
    monkeypatch.setattr("vision.images.cv2.imdecode", None)
    again = cached(records, tmp_path / "cache")
    for ours in (found, again):
        for record, image, before in zip(ours, images, records, strict=True):
            assert np.array_equal(record.read(), image)
            assert record.image_id == before.image_id
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_the_cache_is_mapped_not_copied_and_is_never_changed(tmp_path: Path) -> None:
    """Otherwise each process would have images of its own."""
    (found,) = cached(read_synthetic(1, 0, (64, 64)).records, tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    first, again = found.read(), found.read()
    assert np.shares_memory(first, again)
    first[:] = 0
    assert file.read_bytes() == content


def test_a_changed_image_gets_another_cache(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", (600, 500))
    cached([record_of(path)], tmp_path / "cache")
    cv2.imwrite(str(path), np.full((600, 500, 3), 9, np.uint8))
    os.utime(path, ns=(1, 1))
    (record,) = cached([record_of(path)], tmp_path / "cache")
    assert record.read().max() == 9


def test_the_cache_may_lie_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file or an override, no shell replaces the tilde."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cached(read_synthetic(1, 0, (64, 64)).records, Path("~/cache"))
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_drawn_images_are_cached_too(tmp_path: Path) -> None:
    records = read_synthetic(3, 0, (64, 64)).records
    for ours, theirs in zip(cached(records, tmp_path), records, strict=True):
        assert np.array_equal(ours.read(), theirs.read())
        assert reduced(theirs, (8, 8)) is theirs


def test_what_cannot_be_cached_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", (600, 500))
    record = record_of(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"a\.jpg cannot be decoded"):
        cached([record], tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(DataError, match=r"cache .* cannot be written .*leave it out"):
        cached([record_of(write(path, (600, 500)))], path)


def test_a_truncated_cache_is_written_again_or_named(tmp_path: Path) -> None:
    records = read_synthetic(2, 0, (64, 64)).records
    found = cached(records, tmp_path)
    (file,) = tmp_path.iterdir()
    original = file.read_bytes()
    file.write_bytes(original[:-100])
    with pytest.raises(DataError, match="is truncated; delete it"):
        found[1].read()
    cached(records, tmp_path)
    assert file.read_bytes() == original
