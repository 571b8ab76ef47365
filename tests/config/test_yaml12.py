"""YAML's scalars: numbers are numbers and words are words, when read and when written."""

import datetime as dt
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from vision.config.yaml12 import dump_yaml, parse_yaml

SCALARS: list[tuple[str, Any]] = [
    ("", None),
    ("~", None),
    ("null", None),
    ("nUll", "nUll"),
    ("true", True),
    ("False", False),
    # Numbers that YAML 1.1 takes for text.
    ("1e-3", 1e-3),
    ("1E5", 1e5),
    ("-2e+2", -200.0),
    (".5", 0.5),
    ("1.", 1.0),
    ("-.5e1", -5.0),
    ("1.5", 1.5),
    (".inf", float("inf")),
    ("-.INF", float("-inf")),
    # Words that YAML 1.1 takes for booleans, numbers, times or dates.
    ("no", "no"),
    ("No", "No"),
    ("yes", "yes"),
    ("on", "on"),
    ("OFF", "OFF"),
    ("y", "y"),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("2024-05-17", "2024-05-17"),
    ("2024-05-17 10:00:00", "2024-05-17 10:00:00"),
    ("0b11", "0b11"),
    ("0x1F", "0x1F"),
    ("1_000", "1_000"),
    ("=", "="),
    # Octal to YAML 1.1, eight less.
    ("010", 10),
    ("-07", -7),
    ("+3", 3),
    # What only looks like a number.
    (".", "."),
    ("1e", "1e"),
    ("e3", "e3"),
    ("-", [None]),
    ("1.2.3", "1.2.3"),
    ("12 monkeys", "12 monkeys"),
]


@pytest.mark.parametrize(("text", "expected"), SCALARS)
def test_scalars_follow_yaml_1_2(text: str, expected: Any) -> None:  # noqa: ANN401
    found = parse_yaml(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", ["no", "1:30", "1e-3", "true", "null", "2024-05-17", "~", "7"])
def test_quotes_make_any_scalar_a_word(text: str) -> None:
    assert parse_yaml(f"'{text}'") == parse_yaml(f'"{text}"') == text


def test_keys_are_words_too() -> None:
    assert parse_yaml("{no: 1, on: 2, 1:30: 3}") == {"no": 1, "on": 2, "1:30": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "key 'a' is given twice"),
        ("a: 1\n'a': 1", "key 'a' is given twice"),
        ("a: {b: 1, c: 2, b: 3}", "key 'b' is given twice"),
        ("{[a]: 1}", "unhashable key"),
        ("a: [1, 2", "expected ',' or ']'"),
        ("a: 'b", "unexpected end of stream"),
        ("--- a\n--- b", "expected a single document"),
        ("\0", "special characters are not allowed"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said):
        parse_yaml(text)


def test_the_same_key_in_two_mappings_is_no_repetition() -> None:
    assert parse_yaml("a: {x: 1}\nb: {x: 1}") == {"a": {"x": 1}, "b": {"x": 1}}


def test_names_the_line_of_a_key_given_twice() -> None:
    with pytest.raises(yaml.YAMLError, match="line 3"):
        parse_yaml("a: 1\nb: 2\na: 3")


WORDS = [
    "",
    " ",
    "no",
    "1e-3",
    "null",
    "~",
    "a: b",
    "é",
    "traffic light",
    "#x",
    "- a",
    "010",
    "犬",
    "\x85",
    "a\u2028b",
]
WORDS += [
    "\ufeff",
    "\r",
    "a \nb ",
    "\x00",
    "1:30",
    "2024-05-17",
    "true",
    ".inf",
    "'",
    '"',
    "a\nb",
    "\t",
    "😀",
    "[a",
    "&a",
    "x #y",
    "%",
]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_written_so_that_it_stays_a_word(word: str) -> None:
    assert parse_yaml(dump_yaml({"words": [word], word: word})) == {"words": [word], word: word}


@pytest.mark.parametrize("word", ["no", "on", "1:30", "2024-05-17", "0x1F"])
def test_words_of_yaml_1_2_are_written_plainly(word: str) -> None:
    assert dump_yaml([word]) == f"- {word}\n"


SIMPLE = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40)
)
NESTED = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(NESTED)
@example(1e-5)
@example([1e16, -0.0, 1e22])
@example("a" * 90 + " " + "b" * 90)
def test_what_is_dumped_is_parsed_back(value: object) -> None:
    assert parse_yaml(dump_yaml(value)) == value


def test_does_not_change_what_other_users_of_yaml_read() -> None:
    assert yaml.safe_load("[no, 1e-3, 2024-05-17]") == [
        False,
        "1e-3",
        dt.date(2024, 5, 17),
    ]


@pytest.mark.parametrize(
    "text", ["!!bool abc", "a: !!float x", "!!int 1x", "!!timestamp 9-9", "[" * 3000]
)
def test_a_tag_that_does_not_fit_and_a_depth_without_end_are_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)


class Key(str):
    """A text that counts how often it is compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    compared = 0

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return str.__eq__(self, other)


def test_many_keys_are_compared_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    construct = yaml.SafeLoader.construct_object

    def counted(loader: yaml.SafeLoader, node: yaml.Node, deep: bool = False) -> object:
        value = construct(loader, node, deep)
        return Key(value) if isinstance(value, str) else value

    monkeypatch.setattr(yaml.SafeLoader, "construct_object", counted)
    keys = {f"k{number}": number for number in range(2_000)}
    found = parse_yaml("\n".join(f"{key}: {value}" for key, value in keys.items()))
    assert Key.compared < 10 * len(keys)  # each with each would be two million
    assert found == keys
    Key.compared = 0
    with pytest.raises(yaml.YAMLError, match="'a' is given twice"):
        parse_yaml("a: 1\na: 2")
    assert Key.compared  # keys of different hashes need no comparison, equal ones one that counts
