"""Which faults a report shows as pictures."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TypeVar

from vision.metrics.analysis import Mistake, Suspect

NUM_SHOWN = 16
"""Pictures of each kind."""
NUM_SUSPECTS = 120
"""Pictures of label suspects."""

Fault = TypeVar("Fault", Mistake, Suspect)


def choose(faults: Sequence[Fault], limit: int = NUM_SHOWN) -> list[Fault]:
    """The first faults of each kind, as many of each class as possible.

    Of each kind, the first fault of each class comes before the second of any class.

    Args:
        faults: The worst first.
        limit: Number of each kind.
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
    """The first `NUM_SHOWN` of each kind and class, the classes with most suspects first.

    Two classes that are taken for each other count as one. Where there are more than ``limit``,
    the largest class of each kind comes before the second largest of any.

    Args:
        suspects: The most suspicious first.
        limit: Number of all.
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
