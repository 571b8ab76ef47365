"""Finding inputs: which files, in which order, and where their results go."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media.samples import make_files
from vision.errors import DataError
from vision.images import read_image
from vision.media import find_inputs
from vision.urls import mask_url


def _found(folder: Path, *inputs: str) -> list[tuple[str, str]]:
    """Path below the folder, and place below the output folder, of each source."""
    sources = find_inputs([str(folder / text) for text in inputs])
    return [(s.path.relative_to(folder).as_posix(), s.relative.as_posix()) for s in sources]


def test_no_input_gives_no_source() -> None:
    assert find_inputs([]) == []


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["b.png"], [("b.png", "b.png")]),
        (["b.png", "a.JPG"], [("b.png", "b.png"), ("a.JPG", "a.JPG")]),
        (["in/film.avi"], [("in/film.avi", "film.mp4")]),
        (["in"], [("in/2.jp2", "2.png"), ("in/d/1.jpg", "d/1.jpg"), ("in/film.avi", "film.mp4")]),
        (["in/"], [("in/2.jp2", "2.png"), ("in/d/1.jpg", "d/1.jpg"), ("in/film.avi", "film.mp4")]),
        (["in/d", "in/d/1.jpg"], [("in/d/1.jpg", "1.jpg")]),
        (["in/*/1.jpg"], [("in/d/1.jpg", "d/1.jpg")]),
        (["in/**/*.jpg"], [("in/d/1.jpg", "d/1.jpg")]),
        (["**/*.jpg"], [("c[1]/x.jpg", "c[1]/x.jpg"), ("in/d/1.jpg", "in/d/1.jpg")]),
        (["**/1.*"], [("in/d/1.jpg", "in/d/1.jpg")]),
        (["?.*"], [("a.JPG", "a.JPG"), ("b.png", "b.png")]),
        (["[ab].png"], [("b.png", "b.png")]),
        (["i[1].png"], [("i[1].png", "i[1].png")]),
        (["c[1]"], [("c[1]/x.jpg", "x.jpg")]),
        (["c[1]/*.jpg"], [("c[1]/x.jpg", "x.jpg")]),
        (["in/.h/3.jpg"], [("in/.h/3.jpg", "3.jpg")]),
    ],
)
def test_inputs(tmp_path: Path, inputs: list[str], expected: list[tuple[str, str]]) -> None:
    make_files(tmp_path, "a.JPG", "b.png", "i[1].png", "i1.png", "c[1]/x.jpg", "notes.txt")
    make_files(tmp_path, "in/film.avi", "in/d/1.jpg", "in/2.jp2", "in/.h/3.jpg", "in/.4.jpg")
    make_files(tmp_path, "in/readme.md", "in/no_suffix")
    assert _found(tmp_path, *inputs) == expected


def test_what_is_no_picture_is_counted_and_what_cannot_be_decoded_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An image in a format that is not read is an input, which fails with that reason."""
    make_files(tmp_path, "a.jpg", "b.heic", "c.avif", "d.ico", "e.jfif", "notes.txt", "z/README")
    caplog.set_level("INFO")
    names = ["a.jpg", "b.heic", "c.avif", "d.ico", "e.jfif"]
    assert [source.path.name for source in find_inputs([str(tmp_path)])] == names
    assert caplog.messages == [
        f"{tmp_path}: files that are neither images nor videos are left out: 2 (first: notes.txt)"
    ]
    with pytest.raises(DataError, match=r"b\.heic: \.heic files are not read; convert it to JPEG"):
        read_image(tmp_path / "b.heic")


def test_kinds(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg", "b.MOV")
    assert [source.kind for source in find_inputs([str(tmp_path)])] == ["image", "video"]


def test_relative_inputs_and_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_files(tmp_path, "in/a.jpg", "b.jpg")
    monkeypatch.chdir(tmp_path / "in")
    places = [str(s.relative) for s in find_inputs(["*.jpg", "./a.jpg", "..", "../*.jpg"])]
    assert places == ["a.jpg", "b.jpg"]


def test_equal_names_get_places_of_their_own(tmp_path: Path) -> None:
    make_files(
        tmp_path, "x/a.jpg", "y/a.jpg", "z/A.jpg", "x/f.avi", "x/f.mov", "x/p.png", "x/p.jp2"
    )
    places = [place for _, place in _found(tmp_path, "x", "y", "z/A.jpg")]
    assert places == ["a.jpg", "f.mp4", "f_2.mp4", "p.png", "p_2.png", "a_2.jpg", "A_3.jpg"]


def test_a_place_that_is_taken_by_a_numbered_name(tmp_path: Path) -> None:
    make_files(tmp_path, "x/a.jpg", "x/a_2.jpg", "y/a.jpg")
    assert [place for _, place in _found(tmp_path, "x", "y")] == ["a.jpg", "a_2.jpg", "a_3.jpg"]


def test_a_file_is_taken_once(tmp_path: Path) -> None:
    make_files(tmp_path, "d/a.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "d/a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "d/loop").symlink_to(tmp_path)
    found = _found(tmp_path, "d/a.jpg", "d", "d/../d/a.jpg", "*.jpg", "d/*", ".")
    # What a link has lost is not left out: reading it says so.
    assert found == [("d/a.jpg", "a.jpg"), ("gone.jpg", "gone.jpg")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing.jpg", "missing.jpg does not exist; pass a file"),
        ("notes.txt", "notes.txt names no input; write one per line"),
        ("notes.md", r"notes.md is neither an image nor a video; accepted are .*\.jpg .*\.mp4"),
        ("no_suffix", "no_suffix is neither"),
        ("empty", "empty holds no image or video"),
        ("texts", "texts holds no image or video"),
        ("*.gif", r"\*.gif matches no image or video"),
        ("texts/*", r"texts/\* matches no image or video"),
        ("nul\0.jpg", "no file can have this name"),
        ("nul\0/*.jpg", "no file can have this name"),
        ("a" * 300 + ".jpg", "(cannot be opened|is not read): File name too long"),
    ],
)
def test_inputs_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    make_files(
        tmp_path, "notes.txt", "notes.md", "no_suffix", "texts/a.txt", "texts/.b.jpg", "fine.jpg"
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message) as raised:
        find_inputs([str(tmp_path / "fine.jpg"), str(tmp_path / text)])
    assert "\n" not in str(raised.value)


NAMES = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from(["a", "A", "a_2", "b"])), max_size=8
)
SUFFIXES = st.sampled_from([".jpg", ".JPG", ".png", ".jp2", ".pgm", ".avi", ".mp4"])


@given(NAMES, st.lists(SUFFIXES, min_size=8, max_size=8), st.permutations("xyz"))
@settings(max_examples=25, deadline=None)
def test_places_never_collide(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[tuple[str, str]],
    suffixes: list[str],
    order: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("places")
    make_files(
        folder, *(f"{where}/{what}{s}" for (where, what), s in zip(names, suffixes, strict=False))
    )
    make_files(folder, "x/last.png", "y/last.png", "z/last.png")
    sources = find_inputs([str(folder / where) for where in order])
    places = {str(source.relative).lower() for source in sources}
    assert len(places) == len(sources) == len(list(folder.rglob("?*.*")))


PARTS = st.sampled_from(["..", "s", "t", "s*", "?", "**", ".", "a.jpg", "A.jpg", "[st]", "link"])
CLIMBS = st.builds(
    lambda above, up, below: [*above, *[".."] * up, *below],
    st.lists(PARTS, min_size=1, max_size=3),
    st.integers(0, 3),
    st.lists(PARTS, max_size=1).map(lambda below: [*below, "a.jpg"]),
)


@given(st.lists(PARTS, min_size=1, max_size=6) | CLIMBS, st.booleans())
@settings(max_examples=80, deadline=None)
def test_no_result_leaves_the_output_folder(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], is_absolute: bool
) -> None:
    """Whatever a pattern names, directly or in a list: with .., absolute, through links."""
    root = tmp_path_factory.getbasetemp() / "leave"
    if not root.exists():
        make_files(root, "in/s/a.jpg", "in/s/t/a.jpg", "in/t/A.jpg", "in/a.jpg", "a.jpg", "s/é.jpg")
        (root / "in/link").symlink_to(root)
    text = "/".join([str(root / "in"), *parts] if is_absolute else parts)
    (root / "in/list.txt").write_text(text + "\n")
    out = root / "out"
    sources = find_inputs([str(root / "in/list.txt")], print)
    for source in sources:
        assert Path(os.path.normpath(out / source.relative)).is_relative_to(out)
        assert ".." not in source.relative.parts
    assert len({str(source.relative).lower() for source in sources}) == len(sources)


def test_a_pattern_that_climbs_keeps_its_results_inside(tmp_path: Path) -> None:
    make_files(tmp_path, "in/s/x.jpg", "docs.jpg", "other/s/y.jpg")
    texts = ["s*/../../docs.jpg", "s*/../../other/*/y.jpg"]
    sources = find_inputs([str(tmp_path / "in" / text) for text in texts])
    assert [source.relative.as_posix() for source in sources] == ["docs.jpg", "other/s/y.jpg"]


def test_names_that_unicode_composes_differently_get_places_of_their_own(tmp_path: Path) -> None:
    make_files(tmp_path, "x/\u00e9.jpg", "y/e\u0301.jpg")
    places = [place for _, place in _found(tmp_path, "x", "y")]
    assert places == ["\u00e9.jpg", "e\u0301_2.jpg"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    make_files(tmp_path, "d/a.jpg", "d/e/b.jpg", "d/.h/c.jpg")
    for name in ("p", "q", "r"):
        (tmp_path / "d" / name).symlink_to(tmp_path / "d")
    assert [place for _, place in _found(tmp_path, "d/**/*.jpg")] == ["a.jpg", "e/b.jpg"]
    assert [place for _, place in _found(tmp_path, "**/e/**/**/b.*")] == ["d/e/b.jpg"]
    assert [place for _, place in _found(tmp_path, "d/**")] == ["a.jpg", "e/b.jpg"]


def test_a_list_that_names_itself_is_refused(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg")
    (tmp_path / "1.txt").write_text("2.txt\na.jpg\n", encoding="utf-8-sig")
    (tmp_path / "2.txt").write_text("1.txt\n")
    with pytest.raises(DataError, match=r"1\.txt names itself, or a list that names it"):
        find_inputs([str(tmp_path / "1.txt")])
    problems: list[str] = []
    sources = find_inputs([str(tmp_path / "1.txt")], problems.append)
    assert ([source.path.name for source in sources], len(problems)) == (["a.jpg"], 1)


def test_a_list_that_cannot_be_read_is_named_with_the_reason_alone(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"list .*1\.txt cannot be read: it is not UTF-8 text"):
        find_inputs([str(tmp_path / "1.txt")])


def test_lists_of_lists_are_read_once(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg")
    for number in range(60):
        (tmp_path / f"{number}.txt").write_text(f"{number + 1}.txt\n" * 2)
    (tmp_path / "60.txt").write_text("a.jpg\n")
    assert len(find_inputs([str(tmp_path / "0.txt")])) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rtsp://[bad/x", r"address rtsp://\[bad/x is not a URL: Invalid IPv6 URL"),
        ("http://me:s3cret@[::1", r"address http://\*\*\*@\[::1 is not a URL"),
        ("99999999999999999999", "camera 9{20}: camera numbers have at most 3 digits"),
        ("9" * 5000, "camera 9{20}: camera numbers have"),
        ("", "an input is empty"),
    ],
)
def test_addresses_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        find_inputs([text])
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://me:s3cret@cam:554/live", "rtsp://***@cam:554/live"),
        ("rtsp://me:s3/cr?e#t@cam/live", "rtsp://***@cam/live"),
        ("http://cam/v?token=s3cret&x=1", "http://cam/v?***"),
        ("http://cam/v#s3cret", "http://cam/v#***"),
        ("rtsp://cam/user=me&password=s3cret&channel=1.sdp", None),
    ],
)
def test_secrets_of_a_url_are_masked(url: str, masked: str | None) -> None:
    expected = masked or "rtsp://cam/user=***&password=***&channel=***"
    assert mask_url(url) == expected
    assert mask_url(str(Path(url))) == str(Path(expected))
    (source,) = find_inputs([url])
    assert source.address == url
    assert source.name == expected
    assert "s3cret" not in f"{source!r} {source.path} {source.relative}"


def test_streams_that_differ_in_secrets_alone_have_names_of_their_own() -> None:
    urls = ["http://c/v?ch=1", "http://c/v?ch=2", "http://c/v?ch=1"]
    assert [source.name for source in find_inputs(urls)] == ["http://c/v?***", "http://c/v?*** (2)"]
