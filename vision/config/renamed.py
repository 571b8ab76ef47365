"""Renamed and removed keys of the configuration; files that contain them still load."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

_NECKS = {"ssdlite_mobilenet_v2": "none", "ssdlite_fpn": "fpn"}

RENAMED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "model.name": lambda name: {"backbone": "mobilenet_v2", "neck": _NECKS.get(str(name), name)},
    "optim.trunk_lr": lambda multiple: {"backbone_lr": multiple},
}
"""For each old dotted key, a function from its value to the new keys in the same section."""
REMOVED = {"augment.on_device": "the processes that read images change their colours and flip them"}
"""For each removed dotted key, the reason in the warning. A false value needs no warning."""


def rename_keys(
    values: Mapping[Any, Any], where: str | None = None, section: str = ""
) -> dict[Any, Any]:
    """Return the values with renamed keys replaced and removed keys left out.

    If both an old key and its new one are set, the new one takes effect.

    Args:
        values: Nested values, or flat ones with dotted keys.
        where: The file or other origin, for a warning that names the new keys; None for no warning,
            if the values were not written by a user.
        section: The dotted key of the section that contains the values; empty for the top level.
    """
    renamed, kept = dict[Any, Any](), dict[Any, Any]()
    for key, value in values.items():
        dotted = f"{section}.{key}" if section else str(key)
        if dotted in REMOVED:
            if value and where is not None:
                logger.warning("warning: %s: %s is ignored: %s", where, dotted, REMOVED[dotted])
            continue
        if dotted not in RENAMED:
            is_section = isinstance(value, Mapping)
            kept[key] = rename_keys(value, where, dotted) if is_section else value
            continue
        parent = "".join(str(key).rpartition(".")[:2])
        new = {parent + name: part for name, part in RENAMED[dotted](value).items()}
        renamed |= new
        if where is not None:
            full = dotted.rpartition(".")[0]
            said = " and ".join(
                f"{full}.{name.removeprefix(parent)}={part}" for name, part in new.items()
            )
            logger.warning("warning: %s: %s is now written %s", where, dotted, said)
    return renamed | kept
