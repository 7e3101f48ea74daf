"""Write the texts of a plan, for what `planning` has found to be possible.

    rows     SELECT … FROM joins WHERE …       rows with a changed primary key are read anew
    groups   the same with GROUP BY            groups that changed rows belonged or belong to are read anew

Nothing here asks the server: what it says of types comes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import sql

from . import rewriting, shapes
from .model import Column, Dependencies
from .plans import Place, Plan
from .shapes import KeyColumn, Refused, Shape


class Draft:
    """Write one plan."""

    def __init__(self, shape: Shape, dependencies: Dependencies) -> None:
        self._shape = shape
        self._own = dependencies.columns
        self._relations = {r.oid: r for r in dependencies.relations}
        self._keys = (
            [] if shape.grouped else [self._key_outputs(n) for n in range(len(shape.places))]
        )

    def select(self) -> str:
        """Write the whole query, with the outputs that are added; raises Refused."""
        return rewriting.full(self._shape)

    def plan(
        self, select: str, columns: tuple[Column, ...], types: Sequence[str], cost: float
    ) -> Plan:
        """Write all; raises Refused.

        `columns` are what `select` gives, `types` the names of the types of those that are grouped by.
        """
        followed = self._followed()
        places, partners = self._grouping() if self._shape.grouped else self._by_rows()
        return Plan(
            select=select,
            columns=columns,
            shown=len(self._own),
            places=places,
            partners=partners,
            grouped=self._shape.grouped,
            group_text=self._group_text(types),
            sorts=self._shape.sorted,
            limit=self._shape.limit,
            followed=followed,
            words=self._words(followed),
            cost=cost,
        )

    def _key_outputs(self, number: int) -> tuple[int, ...]:
        """Find or add the outputs that carry the key of a table."""
        place = self._shape.places[number]
        oid = place.table.relation
        once = sum(other.table.relation == oid for other in self._shape.places) == 1
        found = []
        for key in place.table.key:
            own = [
                n for n, c in enumerate(self._own) if (c.relation, c.attnum) == (oid, key.attnum)
            ]
            if own and once:
                found.append(own[0])
            else:
                node = rewriting.column(place.alias, key.name)
                found.append(shapes.output(self._shape, node, len(self._own)))
        return tuple(found)

    def _by_rows(self) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
        """Write what reads rows by the keys of their tables, and the anchor's keys by its partners'."""
        shape = self._shape
        order = sorted(range(len(shape.places)), key=lambda n: int(shape.places[n].nullable))
        anchor = shape.places[order[0]]
        whole = [n for n in order if not shape.places[n].nullable]
        places, partners = list[Place](), list[Place]()
        before: list[tuple[tuple[KeyColumn, ...], str]] = []
        for n in whole:
            condition = _key_condition(shape.places[n], sum(len(k) for k, _ in before))
            others = [text for _, text in before]
            places.append(self._place(n, rewriting.part(shape, _only(condition, others))))
            before.append((shape.places[n].table.key, condition))
        keys = [rewriting.column(anchor.alias, key.name) for key in anchor.table.key]
        for n in order[len(whole) :]:
            text = rewriting.only(shape, keys, _key_condition(shape.places[n], 0), {})
            partners.append(self._place(n, text))
        return tuple(places), tuple(partners)

    def _place(self, number: int, text: str) -> Place:
        table = self._shape.places[number].table
        return Place(
            relation=table.relation,
            key=tuple(key.name for key in table.key),
            outputs=self._keys[number] if self._keys else (),
            text=text,
        )

    def _grouping(self) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
        """Write what finds the groups that changed rows of each table belonged or belong to."""
        shape = self._shape
        if any(place.nullable for place in shape.places):
            raise Refused("it groups an outer join")
        if any(place.table.virtual for place in shape.places):
            raise Refused("it groups a table with virtual columns, which are not written down")
        if not all(place.table.readable for place in shape.places):
            raise Refused("it groups a table of which its role may not read every column")
        outputs = [self._group_expression(output) for output in shape.grouped]
        places = []
        for n, place in enumerate(shape.places):
            # $1 to the key's number are its changed keys; then images of the rows before, for each table.
            tables = {
                m: self._with_images(m, len(place.table.key) + 1 + m, only_changed=m == n)
                for m in range(len(shape.places))
            }
            places.append(self._place(n, rewriting.only(shape, outputs, "", tables)))
        return tuple(places), ()

    def _group_expression(self, output: int) -> Any:
        """Give the expression of what is grouped by."""
        if output >= len(self._own):
            return self._shape.outputs[output - len(self._own)]
        targets = self._shape.select.target_list
        if len(targets) != len(self._own):
            raise Refused("it groups by a position behind a star")
        return targets[output].res_target.val

    def _with_images(self, number: int, parameter: int, *, only_changed: bool) -> str:
        """Write a table together with rows as they were, or what changed of it and these rows."""
        place = self._shape.places[number]
        relation = self._relations[place.table.relation]
        name = sql.Identifier(relation.schema, relation.name)
        now = sql.SQL("SELECT {alias}.* FROM {only}{name} AS {alias} WHERE {condition}").format(
            alias=sql.Identifier(place.alias),
            only=sql.SQL("" if place.node.inh else "ONLY "),
            name=name,
            condition=sql.SQL(_key_condition(place, 0) if only_changed else "true"),
        )
        before = sql.SQL(
            "SELECT r.* FROM pg_catalog.jsonb_populate_recordset(NULL::{name}, ${parameter}::jsonb) AS r"
        ).format(name=name, parameter=sql.SQL(str(parameter)))
        return sql.SQL("{} UNION ALL {}").format(now, before).as_string(None)

    def _group_text(self, types: Sequence[str]) -> str:
        """Write what reads groups by their values, and by whether a value may be NULL."""
        if not self._shape.grouped:
            return ""
        count = len(self._shape.grouped)
        conditions = []
        for n, (output, type_name) in enumerate(zip(self._shape.grouped, types, strict=True)):
            node = self._group_expression(output)
            condition = sql.SQL(
                "({value} = ANY (${values}::{type}[]) OR (${null}::pg_catalog.bool AND {value} IS NULL))"
            ).format(
                value=sql.SQL(rewriting.text_of(node)),
                values=sql.SQL(str(n + 1)),
                null=sql.SQL(str(count + n + 1)),
                type=sql.SQL(type_name),
            )
            conditions.append(condition.as_string(None))
        return rewriting.part(self._shape, " AND ".join(conditions))

    # -- words

    def _followed(self) -> frozenset[int]:
        """List the relations that nothing but FROM reads."""
        places = self._shape.places
        found = {place.table.relation for place in places}
        inside = shapes.tables_inside(self._shape)
        return frozenset(
            oid for oid in found if not any(self._relations[oid].name == name for name in inside)
        )

    def _words(self, followed: frozenset[int]) -> str:
        """Tell people what the plan is."""
        names = [
            f"{place.alias} ({', '.join(key.name for key in place.table.key)})"
            for place in self._shape.places
            if place.table.relation in followed
        ]
        if not names:
            raise Refused("its tables stand in sub-queries, too")
        what = "groups of changed rows" if self._shape.grouped else "rows with a changed key"
        others = [r.qualified for oid, r in sorted(self._relations.items()) if oid not in followed]
        rest = f"; a change of {', '.join(others)} runs all of it" if others else ""
        return f"incremental: {what} of {', '.join(names)} are read anew{rest}"


def _key_condition(place: shapes.Place, before: int) -> str:
    """Ask for rows of a table with one of some keys, given as arrays behind `before` other parameters.

    Of a key of several columns, each is asked for by itself: that finds more rows, and rows of the result
    are taken out by the same rule.
    """
    tests = [
        sql.SQL("{} = ANY (${}::{}[])").format(
            sql.Identifier(place.alias, key.name),
            sql.SQL(str(before + n)),
            sql.SQL(key.type),
        )
        for n, key in enumerate(place.table.key, 1)
    ]
    return sql.SQL(" AND ").join(tests).as_string(None)


def _only(condition: str, others: Iterable[str]) -> str:
    """Ask for what meets a condition and none of the others, so that no row is read twice."""
    return " AND ".join([condition, *(f"({other}) IS NOT TRUE" for other in others)])
