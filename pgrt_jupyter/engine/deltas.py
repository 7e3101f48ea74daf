"""Bring a result up to date by reading what changed of it; all of it where that is not certain.

One READ ONLY transaction reads which rows changed since the result was read and what has become of the
rows they lead to, in one snapshot: so the new result is that of the query in that snapshot, exactly.
Rows that a changed key leads to are taken out, the rows it leads to now are put in; where the query sorts,
in their place, and else where they were or at the end. Runs on a worker thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import changed, frames
from .changed import Changed
from .connection import Connection
from .merging import Merge, Patch, Uncertain
from .ordering import is_as_declared
from .patches import Body, Positions, taken
from .plans import Place, Plan
from .types import kind_of
from .values import Values, read_texts

MOST_KEYS = 10_000  # beyond, all is read; of results of fewer rows …
_SHARE = 20  # … where more than one key in so many rows changed, but for
_LEAST_KEYS = 100
_FEW = 4  # values that are looked for one by one

Members = Mapping[int, Sequence[int]]  # by relation: the tables whose rows it shows
Keys = list[set[str]]  # values by column of a key: each is asked for by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Hold a result and up to which snapshot it is right."""

    at: str  # pg_snapshot
    body: Body


def wanted(since: str, members: Members) -> bytes:
    """Write the statement that reads what changed; to be the first of the transaction."""
    relations = {oid for found in members.values() for oid in found}
    return changed.statement(since, relations).as_bytes()


def patch(
    connection: Connection, plan: Plan, members: Members, base: Body, found: Changed
) -> Patch | None:
    """Read what changed and patch a result; None: it is as it was.

    Raises Uncertain, and the driver's errors.
    """
    for relation, tables in members.items():
        if relation not in plan.followed and found.of(tables):
            raise Uncertain("a table of a sub-query changed")
    if found.marked or (plan.by_groups and found.bare):
        raise Uncertain("a statement changed too many rows")
    kinds = [kind_of(column.type_oid, column.typmod) for column in plan.columns]
    if not all(map(is_as_declared, base.values, kinds)):
        raise Uncertain("a column holds values beyond its type")
    reader = _Groups if plan.by_groups else _Rows
    reading = reader(connection, plan, members, base, found)
    gone, added = reading.removed(), reading.added()
    if not all(map(is_as_declared, added, kinds)):
        raise Uncertain("a value is beyond its type")
    return Merge(plan, base, gone, added, reading.identity).patch()


class _Reading:
    """Read rows of a plan in the transaction that is open."""

    identity: tuple[int, ...]  # outputs that tell a row from the others

    def __init__(
        self, connection: Connection, plan: Plan, members: Members, base: Body, found: Changed
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._members = members
        self._base = base
        self._found = found

    def _ask(self, text: str, parameters: Sequence[bytes]) -> list[list[bytes | None]]:
        return frames.ask(self._connection, text, parameters)[1]

    def _read(self, text: str, parameters: Sequence[bytes]) -> list[Values]:
        """Read rows with all outputs."""
        columns, texts = frames.ask(self._connection, text, parameters)
        if columns != self._plan.columns:
            raise Uncertain("the outputs are others")
        return read_texts(texts, [kind_of(c.type_oid, c.typmod) for c in columns])

    def _keys(self, place: Place) -> Keys:
        """Collect the keys of the rows that changed of a table."""
        rows = self._found.of(self._members.get(place.relation, ()))
        keys = [{str(row[name]) for row in rows} for name in place.key]
        if max(map(len, keys)) > self._most:
            raise Uncertain("too many rows changed")
        return keys

    @property
    def _most(self) -> int:
        """Say how many keys are quicker to follow than all is to be read."""
        return MOST_KEYS

    def _typed(self, texts: set[str], output: int) -> Any:
        """Read values as an output has them."""
        column = self._plan.columns[output]
        (values,) = read_texts([sorted(texts)], [kind_of(column.type_oid, column.typmod)])
        return values

    def _where(self, outputs: Sequence[int], keys: Keys) -> Positions:
        """Find the rows whose outputs are all among some values."""
        if not all(keys):
            return np.zeros(0, np.int64)
        mask: Any = None
        for output, texts in zip(outputs, keys, strict=True):
            found = _among(self._base.values[output], self._typed(texts, output))
            mask = found if mask is None else pc.and_kleene(mask, found)
        return _positions(mask)


class _Rows(_Reading):
    """Follow the keys of rows."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        every = (*self._plan.places, *self._plan.partners)
        self.identity = tuple(output for place in every for output in place.outputs)
        self._wanted = [self._keys(place) for place in self._plan.places]
        for place in self._plan.partners:
            self._follow_partner(place)
        if max(len(texts) for keys in self._wanted for texts in keys) > self._most:
            raise Uncertain("too many rows changed")

    @property
    def _most(self) -> int:
        return max(_LEAST_KEYS, min(MOST_KEYS, self._base.rows // _SHARE))

    def _follow_partner(self, place: Place) -> None:
        """Add the anchor's keys that a changed partner leads to: before, and now."""
        keys = self._keys(place)
        if not all(keys):
            return
        anchor, wanted = self._plan.places[0], self._wanted[0]
        rows = self._where(place.outputs, keys)
        for texts, output in zip(wanted, anchor.outputs, strict=True):
            texts.update(map(str, taken(self._base.values[output], rows).to_pylist()))
        found = self._ask(place.text, list(map(_array, keys)))
        for texts, values in zip(wanted, found, strict=True):
            texts.update(value.decode() for value in values if value is not None)

    def removed(self) -> Positions:
        """Find the rows that changed keys led to."""
        found = [
            self._where(place.outputs, keys)
            for place, keys in zip(self._plan.places, self._wanted, strict=True)
        ]
        return np.unique(np.concatenate(found))

    def added(self) -> list[Values]:
        """Read the rows that they lead to now."""
        parts, parameters = [], list[bytes]()
        for place, keys in zip(self._plan.places, self._wanted, strict=True):
            parameters += map(_array, keys)
            if all(keys):
                parts.append(self._read(place.text, parameters))
        return _joined(parts, self._base.values)


class _Groups(_Reading):
    """Follow the groups that rows belong to."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.identity = self._plan.grouped
        self._wanted: Keys = [set() for _ in self._plan.grouped]
        self._nulls = [False] * len(self._wanted)
        before = [
            self._found.before(self._members.get(place.relation, ())).encode()
            for place in self._plan.places
        ]
        for place in self._plan.places:
            keys = self._keys(place)
            if all(keys):
                self._follow(self._ask(place.text, [*map(_array, keys), *before]))

    def _follow(self, found: Sequence[Sequence[bytes | None]]) -> None:
        for number, values in enumerate(found):
            self._wanted[number].update(value.decode() for value in values if value is not None)
            self._nulls[number] |= None in values
            if len(self._wanted[number]) > MOST_KEYS:
                raise Uncertain("too many groups changed")

    def removed(self) -> Positions:
        """Find the groups."""
        mask: Any = None
        for output, texts, null in zip(self.identity, self._wanted, self._nulls, strict=True):
            values: Any = self._base.values[output]
            found = _among(values, self._typed(texts, output))
            found = pc.or_kleene(found, values.is_null()) if null else found
            mask = found if mask is None else pc.and_kleene(mask, found)
        return _positions(mask)

    def added(self) -> list[Values]:
        """Read them anew."""
        if not all(t or n for t, n in zip(self._wanted, self._nulls, strict=True)):
            return _joined([], self._base.values)
        nulls = [b"t" if null else b"f" for null in self._nulls]
        rows = self._read(self._plan.group_text, [*map(_array, self._wanted), *nulls])
        return _joined([rows], self._base.values)


def _among(values: Any, some: Any) -> Any:
    """Say which values of a column are among some; NULL for NULL."""
    if len(some) > _FEW:
        return pc.is_in(values, value_set=some.combine_chunks())
    found = [pc.equal(values, value) for value in some]
    if not found:
        return pc.and_(values.is_null(), False)
    return reduce(pc.or_kleene, found)


def _positions(mask: Any) -> Positions:
    """List the rows a mask is true for; NULL is not."""
    return np.asarray(pc.indices_nonzero(mask)).astype(np.int64)


def _joined(parts: Sequence[Sequence[Values]], like: Sequence[Values]) -> list[Values]:
    """Put rows of several readings together."""
    none = np.zeros(0, np.int64)
    every = [[taken(column, none) for column in like], *parts]
    return [
        np.concatenate(columns)
        if isinstance(columns[0], np.ndarray)
        else pa.chunked_array([pa.concat_arrays(c for column in columns for c in column.chunks)])
        for columns in zip(*every, strict=True)
    ]


def _array(texts: set[str]) -> bytes:
    """Write values as PostgreSQL writes an array."""
    quoted = ('"' + t.replace("\\", "\\\\").replace('"', '\\"') + '"' for t in sorted(texts))
    return f"{{{','.join(quoted)}}}".encode()
