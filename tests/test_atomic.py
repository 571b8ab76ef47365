"""Files that appear when they are complete."""

from pathlib import Path

import pytest

from vision.atomic import remove_partial, replacing, temporary_folder


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
    own = ["notes.partial", ".notes.partial.txt", ".movie.partial", f".{'0' * 31}.partial"]
    for name in [*own, f".{'0' * 32}.partial", f".{'a' * 32}.partial.mp4"]:
        (tmp_path / name).write_text("text")
    (tmp_path / ".abcd1234.partial").mkdir()
    (tmp_path / f".{'b' * 32}.partial").mkdir()
    (tmp_path / f".{'b' * 32}.partial" / "graph.onnx").write_text("half")
    (tmp_path / f".{'c' * 32}.partial").symlink_to(tmp_path / ".abcd1234.partial")
    remove_partial(tmp_path)
    assert listed(tmp_path) == sorted([*own, ".abcd1234.partial"])


def test_names_of_temporary_files_are_those_that_are_removed(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.tar.gz") as partial:
        partial.write_text("text")
        name = partial.name
    with temporary_folder(tmp_path) as folder:
        names = [name, folder.name]
    assert listed(tmp_path) == ["a.tar.gz"]
    (tmp_path / names[0]).write_text("half")
    (tmp_path / names[1]).mkdir()
    remove_partial(tmp_path)
    assert listed(tmp_path) == ["a.tar.gz"]
