"""Messages stay short and are what they seem, whatever a file holds."""

import pickle
from pathlib import Path

import pytest

from vision.errors import MAX_LINE, ConfigError, DataError, did_you_mean, first_line
from vision.extras import require_package


def test_a_message_is_short_and_has_its_start_and_its_end() -> None:
    message = str(DataError(f"a.json: found {'x' * 10**6}; remove it"))
    assert len(message) <= MAX_LINE
    assert message.startswith("a.json: found xxx")
    assert message.endswith("xxx; remove it")


def test_of_many_names_the_first_are_listed() -> None:
    names = [f"n{number}" for number in range(80)]
    assert did_you_mean("zebra", names) == f"; there are {', '.join(names[:20])} and 60 more"
    assert did_you_mean("zebra", names[:20]) == f"; there are {', '.join(names[:20])}"


def test_each_line_is_kept() -> None:
    assert str(ConfigError("2 errors:\n  one\n  two")) == "2 errors:\n  one\n  two"
    assert str(DataError("a key 'file\nname' in a.json")) == "a key 'file\\nname' in a.json"


def test_control_characters_are_escaped() -> None:
    assert str(DataError("a\x1b[2J\r\u2028b")) == "a\\x1b[2J\\r\\u2028b"


@pytest.mark.parametrize(
    ("text", "expected"), [("\n out of memory \nat 0x1", "out of memory"), ("", "RuntimeError")]
)
def test_an_error_of_a_library_has_one_line(text: str, expected: str) -> None:
    assert first_line(RuntimeError(text)) == expected


def test_a_message_survives_pickling() -> None:
    assert str(pickle.loads(pickle.dumps(DataError("a\rb")))) == "a\\rb"  # noqa: S301


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('raise ImportError("libfoo.so.1: cannot open it")', "libfoo.so.1: cannot open it"),
        ("import missing_part", "No module named 'missing_part'"),
    ],
)
def test_an_installed_package_that_cannot_be_imported_is_named_with_its_reason(
    content: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_runtime.py").write_text(content, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    text = f"^the package broken_runtime cannot be imported: {reason}; repair or reinstall it$"
    with pytest.raises(ConfigError, match=text):
        require_package("broken_runtime")
    with pytest.raises(ConfigError, match=r"^the package no_runtime\.part is not installed; "):
        require_package("no_runtime.part")
