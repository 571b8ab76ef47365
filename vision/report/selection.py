"""The choice of the faults that a report shows as pictures."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TypeVar

from vision.metrics.analysis import Mistake, Suspect

NUM_SHOWN = 16
"""Maximum number of pictures of each kind."""
NUM_SUSPECTS = 120
"""Maximum number of pictures of label suspects."""

Fault = TypeVar("Fault", Mistake, Suspect)


def choose(faults: Sequence[Fault], limit: int = NUM_SHOWN) -> list[Fault]:
    """Choose the first faults of each kind, from as many classes as possible.

    Within a kind, the first fault of each class comes before the second fault of any class.

    Args:
        faults: All faults, the worst first.
        limit: Maximum number of each kind.
    """
    rank: Counter[tuple[str, int]] = Counter()
    by_kind: dict[str, list[tuple[int, Fault]]] = defaultdict(list)
    for fault in faults:
        by_kind[fault.kind].append((rank[fault.kind, fault.label], fault))
        rank[fault.kind, fault.label] += 1
    return [
        fault
        for ranked in by_kind.values()
        for _, fault in sorted(ranked, key=lambda pair: pair[0])[:limit]
    ]


def choose_suspects(suspects: Sequence[Suspect], limit: int = NUM_SUSPECTS) -> list[Suspect]:
    """Choose the first `NUM_SHOWN` of each kind and class, the classes with most suspects first.

    Two classes that are confused with each other count as one. If these are more than ``limit``,
    the largest class of each kind is chosen before the second largest of any kind.

    Args:
        suspects: All suspects, the most suspicious first.
        limit: Maximum number of suspects.
    """
    groups: dict[tuple[str, frozenset[int | None]], list[Suspect]] = defaultdict(list)
    for suspect in suspects:
        groups[suspect.kind, frozenset({suspect.label, suspect.true_label})].append(suspect)
    rank: Counter[str] = Counter()
    ranked: list[tuple[int, list[Suspect]]] = []
    for (kind, _), group in sorted(groups.items(), key=lambda item: -len(item[1])):
        ranked.append((rank[kind], group))
        rank[kind] += 1
    chosen = [
        (len(group), suspect)
        for _, group in sorted(ranked, key=lambda pair: pair[0])
        for suspect in group[:NUM_SHOWN]
    ]
    return [suspect for _, suspect in sorted(chosen[:limit], key=lambda pair: -pair[0])]
