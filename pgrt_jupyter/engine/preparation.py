"""Prepare a query: analyse it, check its options, put its triggers in place; again when tables change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import psycopg

from ..config import Conninfo
from ..errors import CaptureFailed, ConfigurationError, PermissionMissing, PgrtError
from . import analysis, capture, conditions, families, filters, planning, shapes
from .connection import Connection
from .group import Group
from .keeping import SMALL
from .known import Known
from .roster import Roster
from .server import Server
from .sql import load
from .subscription import Spec
from .translation import translated

log = logging.getLogger("pgrt_jupyter")

# Analysis needs a temporary function: not in a read-only session, without TEMPORARY, on a standby.
_ON_STANDBY = "0A000"
_CANNOT_CREATE = ("25006", "42501", _ON_STANDBY)
_RECENT_SECONDS = 1.0  # for which what was seen to is not looked at again for one more query
_Families = dict[int, tuple[families.Member, ...]]
_UNKNOWN = "what the query reads: a standby cannot analyse it"


class Owner(Protocol):
    """What this part needs of the runtime."""

    def told_problems(self, group: Group, problems: Sequence[CaptureFailed]) -> None:
        """Have a query poll where its tables cannot be watched."""


class Preparation:
    """Own what is found out about queries; lives on the engine's loop."""

    def __init__(self, server: Server, roster: Roster, owner: Owner) -> None:
        self._server = server
        self._roster = roster
        self._owner = owner
        self._same_database: set[Conninfo] = set()  # query roles whose database has been checked
        self._whole: dict[
            int, tuple[float, tuple[families.Member, ...]]
        ] = {}  # by relation: seen when
        self._known = Known()

    async def group(self, spec: Spec) -> Group:
        """Make a group of a query; raises what is wrong with it or its options."""
        await self._check_database(spec)
        analysed = await self._as_known(spec) or await self._analyse(spec)
        _check_key(spec.key, [column.name for column in analysed.dependencies.columns])
        return Group(spec=spec, analysed=analysed, rule=await self._rule(spec, analysed))

    async def _rule(self, spec: Spec, analysed: analysis.Analysed) -> filters.Filter | None:
        """Check the filter against what the query reads, and give its literals their columns' types."""
        if spec.refresh is None:
            return None
        check = partial(
            filters.compile_filter,
            refresh=spec.refresh,
            relations=analysed.dependencies.relations,
            columns=analysed.dependencies.columns,
        )
        with translated(spec.statement):
            return await self._server.run(check, spec.conninfo)

    async def again(self, group: Group) -> None:
        """Find out anew what a query depends on, after its tables changed."""
        analysed = await self._analyse(group.spec)
        if group.rule is not None:
            group.rule = await self._rule(group.spec, analysed)
        group.analysed = analysed
        group.covered = False
        attentive = group.attentive
        group.forget_conditions()
        await self.ensure_capture(group)
        await self.plan(group)
        if attentive:
            group.attend(await self._conditions(group))
        group.reanalyse = False

    async def plan(self, group: Group) -> None:
        """Find out how a query can be brought up to date by what changed of it."""
        spec = group.spec
        for is_so, why in (
            (spec.incremental is False, "incremental=False"),
            (group.rule is not None, "a refresh filter decides when it runs"),
            (spec.max_rows is not None, "max_rows may cut it anywhere"),
        ):
            if is_so:
                group.plan(None, f"full: {why}")
                return
        work = partial(
            planning.find,
            analysed=group.analysed,
            members=group.families,
            is_for_large=group.keeping.is_for_large,
        )
        try:
            plan = await self._server.run(work, spec.conninfo)
            group.plan(plan, plan.words)
        except planning.Small:
            group.plan(None, SMALL)
        except shapes.Refused as reason:
            group.plan(None, f"full: {reason}")
        except (PgrtError, psycopg.Error) as error:
            log.info("a query has no plan: %s", error)
            group.plan(None, f"full: the server refuses a plan ({type(error).__name__})")

    async def attend(self, group: Group) -> None:
        """Find out which rows can matter to a query, and have it look at them if any cannot.

        What is known of its tables is made sure of before: putting triggers there changed them.
        """
        if group.rule is None and await self.is_redefined(group):
            await self.again(group)
        group.attend(await self._conditions(group))

    async def _conditions(self, group: Group) -> dict[int, conditions.Conditions]:
        """Find out which rows can matter; of the tables that are not named, all can."""
        if group.rule is not None:
            return {}
        work = partial(
            conditions.find,
            select=group.analysed.select,
            dependencies=group.analysed.dependencies,
            fingerprint=group.analysed.fingerprint,
        )
        try:
            return await self._server.run(work, group.spec.conninfo)
        except (PgrtError, psycopg.Error) as error:
            log.info("changed rows are not looked at: %s", error)
            return {}

    async def is_redefined(self, group: Group) -> bool:
        """Say whether anything the query reads is not what it was when it was analysed."""
        known = group.analysed.fingerprint
        found = await self._server.run(partial(analysis.fingerprint, oids=known))
        return not group.analysed.complete or any(
            found.get(oid) != text for oid, text in known.items()
        )

    async def begin_capture(self, group: Group) -> None:
        """See to it that the tables of a new query are watched; a moment ago it was seen to for others."""
        now = asyncio.get_running_loop().time()
        oids = [relation.oid for relation in group.analysed.dependencies.relations]
        recent = [self._whole.get(oid, (-_RECENT_SECONDS, ())) for oid in oids]
        if any(now - seen >= _RECENT_SECONDS for seen, _ in recent):
            await self.ensure_capture(group)
            return
        group.watch({oid: members for oid, (_, members) in zip(oids, recent, strict=True)})
        self._roster.index(group)
        self._owner.told_problems(group, [])

    async def ensure_capture(self, group: Group) -> bool:
        """Do as `ensure_captures` does for one query."""
        with translated(group.spec.statement):
            return group in await self.ensure_captures([group])

    async def ensure_captures(self, groups: Sequence[Group]) -> set[Group]:
        """See to it that every table the queries read is watched, or that they poll.

        Gives those for which triggers were missing, or tables have joined, so that a change may have been
        missed; also where another query, or another engine, put the triggers back meanwhile.
        """
        before = {group: (set(group.watches), _stamps(group)) for group in groups}
        found = await self._find_members(groups)
        members = {member.oid: member for group in groups for member in group.members}
        work = partial(
            capture.complete,
            members=list(members.values()),
            progress=next((group.progress for group in groups if group.progress), None),
        )
        done = await self._server.run(work)
        if done.installed:
            found = await self._find_members(groups)
        self._note_whole(found, done)
        for group, (tables, _) in before.items():
            group.covered = group.covered and set(group.watches) == tables
            problems = zip(done.failed, done.problems, strict=True)
            mine = [problem for oid, problem in problems if oid in group.watches]
            self._owner.told_problems(group, mine)
        missed = {g for g, then in before.items() if (set(g.watches), _stamps(g)) != then}
        for group in missed:
            group.lose_track()
            if group.keeping.plan is not None:
                await self.plan(group)  # its tables may have another key
        return missed

    def _note_whole(self, found: _Families, done: capture.Completion) -> None:
        """Remember for a moment which tables are watched as a whole."""
        now = asyncio.get_running_loop().time()
        for oid, members in found.items():
            if not any(member.oid in done.failed for member in members):
                self._whole[oid] = (now, members)
        self._whole = {k: v for k, v in self._whole.items() if now - v[0] < _RECENT_SECONDS}

    async def _find_members(self, groups: Sequence[Group]) -> _Families:
        """List the tables whose writes matter to queries, and what of ours stands on them."""
        reads = {
            group: [relation.oid for relation in group.analysed.dependencies.relations]
            for group in groups
        }
        oids = {oid for mine in reads.values() for oid in mine}
        found = await self._server.run(partial(families.find, oids=oids))
        for group, mine in reads.items():
            group.watch({oid: found[oid] for oid in mine if oid in found})
            self._roster.index(group)
        return found

    async def add_grants(self, group: Group, error: PgrtError) -> None:
        """Say in the hint of a missing privilege which GRANT statements would help."""
        if not isinstance(error, PermissionMissing):
            return
        work = partial(analysis.missing_grants, oids=group.analysed.dependencies.named)
        try:
            grants = await self._server.run(work, group.spec.conninfo)
        except (PgrtError, psycopg.Error):
            return
        if grants:
            error.hint = f"ask for: {' '.join(grants)}"

    async def _check_database(self, spec: Spec) -> None:
        """Refuse to query another database than the one that is watched: nothing would be heard of it."""
        if spec.conninfo == self._server.conninfo or spec.conninfo in self._same_database:
            return
        with translated():
            watched = await self._server.run(_identity)
            found = await self._server.run(_identity, spec.conninfo)
        if found != watched:
            raise ConfigurationError(
                f"query_conninfo ({spec.conninfo}) leads to another database than the one that is "
                f"watched ({self._server.conninfo}).",
                hint="give the same database under another role, or a streaming replica of it.",
            )
        self._same_database.add(spec.conninfo)

    async def _as_known(self, spec: Spec) -> analysis.Analysed | None:
        """Take what is known of the text with other values, where no definition has changed since."""
        if (known := self._known.find(spec, asyncio.get_running_loop().time())) is None:
            return None
        work = partial(analysis.with_values, statement=spec.statement, known=known)
        with translated(spec.statement):
            return await self._server.run(work, spec.conninfo)

    async def _analyse(self, spec: Spec) -> analysis.Analysed:
        """Analyse under the query's role; where that may not, under the installing one, same names."""
        work = partial(analysis.analyse, statement=spec.statement)
        with translated(spec.statement):
            try:
                analysed = await self._server.run(work, spec.conninfo)
                self._known.note(spec, analysed, asyncio.get_running_loop().time())
                return analysed
            except psycopg.Error as error:
                if error.sqlstate not in _CANNOT_CREATE:
                    raise
                if spec.conninfo == self._server.conninfo:
                    if error.sqlstate != _ON_STANDBY:
                        raise
                    alone = partial(
                        analysis.describe_only, statement=spec.statement, obstacle=_UNKNOWN
                    )
                    return await self._server.run(alone)
            path = await self._server.run(analysis.search_path, spec.conninfo)
            try:
                return await self._server.run(partial(work, search_path=path))
            except psycopg.Error:
                # The role is told what it would be told itself, not what the installing role may know.
                own = partial(analysis.describe_only, statement=spec.statement, obstacle=_UNKNOWN)
                await self._server.run(own, spec.conninfo)
                raise


def _identity(connection: Connection) -> tuple[object, ...] | None:
    """Say which database a session is connected to; None where that may not be known."""
    try:
        return connection.execute(load("server_identity")).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None


def _stamps(group: Group) -> set[tuple[int, str]]:
    """Tell one state of what we installed from another."""
    return {(member.oid, member.stamp) for member in group.members}


def _check_key(key: Sequence[str] | None, columns: Sequence[str]) -> None:
    """Refuse a key that the result does not carry."""
    missing = [name for name in key or () if name not in columns]
    if missing:
        raise ConfigurationError(
            f"key names the column {missing[0]!r}, which the result does not have.",
            hint=f"it has {', '.join(columns)}.",
        )
