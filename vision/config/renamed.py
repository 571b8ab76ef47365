"""Keys of the configuration that were renamed or removed: files that have them still load."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

_NECKS = {"ssdlite_mobilenet_v2": "none", "ssdlite_fpn": "fpn"}

RENAMED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "model.name": lambda name: {"backbone": "mobilenet_v2", "neck": _NECKS.get(str(name), name)},
    "optim.trunk_lr": lambda multiple: {"backbone_lr": multiple},
}
"""By the old dotted key: from its value to the keys beside it that stand for it now."""
REMOVED = {"augment.on_device": "the processes that read images change their colours and flip them"}
"""By the dotted key that is ignored now: why. A false value needs no warning."""


def rename_keys(
    values: Mapping[Any, Any], where: str | None = None, section: str = ""
) -> dict[Any, Any]:
    """The values by today's keys, without those that were removed.

    Of an old key and a new one that are both given, the new one holds.

    Args:
        values: Nested, or flat with dotted keys.
        where: The file or other origin, for a warning that names the new keys; None for no warning,
            where no user wrote the values.
        section: The dotted key of the section that the values are of.
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
