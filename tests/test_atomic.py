"""Files that appear when they are complete."""

from pathlib import Path

import pytest

from vision.atomic import remove_partial, replacing


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_takes_the_older_one_s_place_at_the_end(tmp_path: Path, *, sync: bool) -> None:
    path = tmp_path / "new" / "file.txt"
    for text in ("first", "second"):
        before = path.read_text() if path.exists() else None
        with replacing(path, sync=sync) as partial:
            partial.write_text(text)
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == text
    assert listed(path.parent) == ["file.txt"]


def test_an_error_leaves_the_older_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("older")

    def write_half() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_half()
    assert path.read_text() == "older"
    assert listed(tmp_path) == ["file.txt"]


def test_the_longest_name_that_a_folder_takes(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with replacing(path) as partial:
        partial.write_text("text")
    assert path.read_text() == "text"


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = tmp_path / "notes.partial"
    kept.write_text("a user's own")
    left = tmp_path / f".{'0' * 32}.partial"
    left.write_text("half")
    remove_partial(tmp_path)
    assert listed(tmp_path) == ["notes.partial"]
