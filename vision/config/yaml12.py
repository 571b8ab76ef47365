"""Read and write YAML with the scalar types of YAML 1.2.

PyYAML follows YAML 1.1, which reads ``1e-3`` as text and ``no`` as false. Here ``1e-3`` is a
number; ``no``, ``on``, ``yes``, ``off``, dates, ``1:30`` and ``0b1`` are text; ``010`` is ten. A
repeated key is an error, whereas PyYAML would keep the last value.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

_RARE_BREAKS = re.compile("[\x85\u2028\u2029]")
_NUMBER = list("-+.0123456789")
_SCALARS: dict[str, tuple[re.Pattern[str], list[str]]] = {
    "null": (re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    "int": (re.compile(r"^[-+]?[0-9]+$"), _NUMBER),
    "float": (
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        _NUMBER,
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002
    ) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        seen = set[Hashable]()
        for index, key in enumerate(keys):
            if not isinstance(key, Hashable):
                continue  # The base class raises the error.
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", node.value[index][0].start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Put text with rare Unicode line breaks in double quotes: other styles would fold them."""
    style = '"' if _RARE_BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


for _name, (_pattern, _first) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Dumper.add_representer(str, _represent_str)


def parse_yaml(text: str) -> Any:  # noqa: ANN401
    """Parse a YAML text.

    Raises:
        yaml.YAMLError: If the text is not YAML, repeats a key, or has a value that does not fit
            its tag.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise yaml.YAMLError(f"a value does not fit its tag ({str(error)[:100]})") from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


def dump_yaml(value: object) -> str:
    """Write a value as a YAML text, which `parse_yaml` reads back as the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
