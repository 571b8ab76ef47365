"""YAML with the scalars of YAML 1.2: PyYAML's own, 1.1, reads ``1e-3`` as text, ``no`` as false.

Also read as text: ``on``, ``yes``, ``off``, dates, ``1:30``, ``0b1``; ``010`` is ten. A key given
twice is an error, where PyYAML would keep the last.
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
                continue  # for the base class to refuse
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
    """In double quotes where others would fold Unicode's rarer line breaks away."""
    style = '"' if _RARE_BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


for _name, (_pattern, _first) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Dumper.add_representer(str, _represent_str)


def parse_yaml(text: str) -> Any:  # noqa: ANN401
    """The value that a YAML text stands for.

    Raises:
        yaml.YAMLError: If the text is not YAML, gives a key twice, or has a tag that its value
            does not fit.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise yaml.YAMLError(f"a value does not fit its tag ({str(error)[:100]})") from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


def dump_yaml(value: object) -> str:
    """A YAML text that `parse_yaml` reads back as ``value``."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
