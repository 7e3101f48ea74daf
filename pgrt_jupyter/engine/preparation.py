"""Prepare a query: analyse it, check its options, put its triggers in place; again when tables change."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import psycopg

from ..config import Conninfo
from ..errors import CaptureFailed, ConfigurationError, PermissionMissing, PgrtError
from . import analysis, capture, conditions, filters
from .group import Group, Spec
from .roster import Roster
from .server import Server
from .sessions import Connection, translated
from .sql import load

log = logging.getLogger("pgrt_jupyter")

# Analysis needs a temporary function: not in a read-only session, without TEMPORARY, on a standby.
_ON_STANDBY = "0A000"
_CANNOT_CREATE = ("25006", "42501", _ON_STANDBY)
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

    async def group(self, spec: Spec) -> Group:
        """Make a group of a query; raises what is wrong with it or its options."""
        await self._check_database(spec)
        analysed = await self._analyse(spec)
        _check_key(spec.key, [column.name for column in analysed.dependencies.columns])
        return Group(spec=spec, analysed=analysed, rule=await self._rule(spec, analysed))

    async def _rule(self, spec: Spec, analysed: analysis.Analysed) -> filters.Filter | None:
        """Check the filter against what the query reads, and give its literals their columns' types."""
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
        if attentive:
            group.attend(await self._conditions(group))
        group.reanalyse = False

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

    async def ensure_capture(self, group: Group) -> bool:
        """See to it that every table the query reads is watched, or that the query polls.

        Says whether triggers were missing, or tables have joined, so that a change may have been missed;
        also where another query, or another engine, put the triggers back meanwhile.
        """
        tables, stamps = set(group.watches), _stamps(group)
        with translated(group.spec.statement):
            await self._find_members(group)
            done = await self._server.run(partial(capture.complete, members=group.members))
            missing = bool(done.installed) or _stamps(group) != stamps
            if done.installed:
                await self._find_members(group)
        group.covered = group.covered and set(group.watches) == tables
        self._owner.told_problems(group, done.problems)
        return missing or set(group.watches) != tables

    async def _find_members(self, group: Group) -> None:
        """List the tables whose writes matter to a query, and what of ours stands on them."""
        oids = [relation.oid for relation in group.analysed.dependencies.relations]
        group.watch(await self._server.run(partial(capture.families, oids=oids)))
        self._roster.index(group)

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

    async def _analyse(self, spec: Spec) -> analysis.Analysed:
        """Analyse under the query's role; where that may not, under the installing one, same names."""
        work = partial(analysis.analyse, statement=spec.statement)
        with translated(spec.statement):
            try:
                return await self._server.run(work, spec.conninfo)
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
