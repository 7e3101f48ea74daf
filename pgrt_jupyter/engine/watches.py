"""Say what the tables of a family mean to a query that reads one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .families import Member
from .model import Relation
from .relevance import Watched, watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Say what a table of a family means to the query."""

    relation: int  # the table the query reads
    table: str  # the name the query finds it by
    family: int
    watched: Watched


def find(
    relations: Iterable[Relation],
    members: Mapping[int, Sequence[Member]],
    besides: Callable[[int], Collection[str]],
) -> dict[int, Watch]:
    """Say it of each table of the families, by its oid.

    `besides` names the columns of a relation that matter though the query's text does not read them.
    """
    found: dict[int, Watch] = {}
    for relation in relations:
        reads = watched(relation.columns.union(besides(relation.oid)), relation.every_column)
        for member in members.get(relation.oid, ()):
            known = found.get(member.oid)
            found[member.oid] = Watch(
                relation=relation.oid,
                table=relation.name if relation.visible else relation.qualified,
                family=member.family,
                watched=reads if known is None else _joined(reads, known.watched),
            )
    return found


def _joined(one: Watched, other: Watched) -> Watched:
    """Combine what two relations of one family make of a member."""
    return Watched(tags=one.tags | other.tags, every_column=one.every_column or other.every_column)
