"""Ask the filters: read the images of changed rows and put them to whoever filters.

Images are read for all filters together, since a read moves on to the snapshot it was made in. Users'
predicates and functions run on a thread of their own, in the order of the changes; when one raises, or
the images cannot be read, the query runs again and the error is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Protocol

import psycopg

from ..errors import FilterFailed, PgrtError
from . import images
from .group import Group
from .lapses import TICK, Lapses
from .model import RowChange
from .questions import Answer, Question, answers
from .relevance import Verdict, by_default_for_row
from .server import Server
from .tasks import Tasks
from .weighing import Weighing
from .workers import alone

log = logging.getLogger("pgrt_jupyter")

KEPT = 30.0  # seconds for which images stay at least, so that every engine has read them
PATIENCE = 10.0  # seconds after which a query runs without its filter's answer
BACKLOG = 10_000  # questions that may wait for a filter; beyond, the query runs instead


class Owner(Protocol):
    """What this part needs of the runtime."""

    @property
    def groups(self) -> set[Group]:
        """Give every live query."""

    def changed(self, group: Group) -> None:
        """Have the query run again."""

    def report(self, group: Group, error: PgrtError) -> None:
        """Tell the user about an error that did not stop the query."""


class Asking:
    """Own the reading of images; lives on the engine's loop."""

    def __init__(self, server: Server, owner: Owner) -> None:
        self._server = server
        self._owner = owner
        self._weighing = Weighing(server, owner)
        self._since: str | None = None
        self._previous: str | None = None  # the snapshot of the last pruning
        self._pruned_at = 0.0
        self._marked_until: str | None = None
        self._wanted = False
        self._awaiting: list[asyncio.Future[frozenset[int] | None]] = []  # the next reading
        self._heard_at = 0.0
        self._lapses = Lapses()
        self._ticking: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._tasks = Tasks()

    async def begin(self) -> None:
        """Note from when on images are to be read."""
        if self._ticking is None:
            self._tick()
        if self._since is None:
            try:
                self._since = await self._server.run(images.now)
            except (PgrtError, psycopg.Error):
                self._since = None  # reading will fail too, and refresh

    def is_late(self, heard: float, now: float) -> bool:
        """Say whether what was written of a change that was heard of then may be forgotten now."""
        return self._lapses.is_late(heard, now)

    def restart(self) -> None:
        """Forget where reading stood; every query runs again anyway."""
        self._since = None

    def read_soon(self) -> None:
        """Read what is new and ask about it."""
        self._heard_at = self._heard_at if self._wanted else asyncio.get_running_loop().time()
        self._wanted = True
        if self._reading is None or self._reading.done():
            self._reading = self._tasks.spawn(self._read())

    async def read(self) -> frozenset[int] | None:
        """Await a reading that begins after this call; gives the relations it found something of.

        None: images could not be read, and every query that asked for them runs again.
        """
        future: asyncio.Future[frozenset[int] | None] = asyncio.get_running_loop().create_future()
        self._awaiting.append(future)
        self.read_soon()
        return await future

    def ask_about_truncate(self, group: Group, relation: int) -> None:
        """Ask a filter function about a statement that has no rows to show."""
        watch = group.watches[relation]
        change = RowChange(operation="truncate", table=watch.table, row=None, old=None)
        self._pose(group, [(change, relation, ())])

    async def prune(self) -> None:
        """Delete images that were already old at the last pruning, if that is long enough ago."""
        now = asyncio.get_running_loop().time()
        if self._previous is not None and now - self._pruned_at < KEPT:
            return
        try:
            if self._previous is not None:
                await self._server.run(partial(images.prune, before=self._previous))
            self._previous, self._pruned_at = await self._server.run(images.now), now
        except (PgrtError, psycopg.Error):
            self._previous = None  # another engine of the installing role prunes

    async def marked(self) -> frozenset[int]:
        """List the relations whose changes could not be announced since the last time."""
        try:
            found = await self._server.run(partial(images.marks, since=self._marked_until))
        except (PgrtError, psycopg.Error):
            return frozenset()  # nothing is installed yet, or it is another role's
        self._marked_until = found.snapshot
        return found.relations

    async def _read(self) -> None:
        """Read as long as there is news."""
        while self._wanted:
            self._wanted, heard = False, self._heard_at
            awaiting, self._awaiting = self._awaiting, []
            found = None
            try:
                found = await self._read_once(heard)
            finally:
                for future in awaiting:
                    if not future.done():
                        future.set_result(found)

    async def _read_once(self, heard: float) -> frozenset[int] | None:
        """Read for every query that looks at rows; what was heard of then may have been forgotten since."""
        asked = self._filtered
        tables = {m.oid: (m.schema, m.name) for group in asked for m in group.members}
        since = self._since
        try:
            if since is None:
                raise FilterFailed("The images of changed rows cannot be read.")
            batch = await self._server.run(partial(images.read, since=since, tables=tables))
        except Exception as error:  # whatever it is, the queries run again
            log.info("row images could not be read: %s", type(error).__name__)
            self._run_all({*asked, *self._attentive})
            self._weighing.give_up(self._attentive)
            return None
        if self._since == since:
            self._since = batch.snapshot
        if self._lapses.is_late(heard, asyncio.get_running_loop().time()):
            self._run_all({*asked, *self._attentive})
            return None
        for group in asked:
            self._put(group, batch.images)
        for group in self._filtered - asked:  # its images may have been among those of others
            self._owner.changed(group)
        self._weighing.put(self._attentive, batch.stored)
        return frozenset(image.relation for image in batch.stored)

    def _run_all(self, groups: Collection[Group]) -> None:
        """Have queries run whose images are not to be had, and what follows the run announced."""
        for group in groups:
            group.covered = group.quiet = False
            self._owner.changed(group)

    def _tick(self) -> None:
        """Give a sign of life."""
        loop = asyncio.get_running_loop()
        self._lapses.ticked(loop.time())
        self._ticking = loop.call_later(TICK, self._tick)

    @property
    def _filtered(self) -> set[Group]:
        """List the queries with a filter."""
        return {group for group in self._owner.groups if group.rule is not None}

    @property
    def _attentive(self) -> list[Group]:
        """List the queries that look at rows now: one that began while they were read looks at them, too."""
        return [group for group in self._owner.groups if group.attentive]

    def _put(self, group: Group, found: Sequence[images.Image]) -> None:
        """Ask one query's filter about the images that concern it."""
        assert group.rule is not None
        questions: list[Question] = []
        for image in found:
            watch = group.watches.get(image.relation)
            if watch is None or not group.rule.concerns(watch.relation):
                continue
            if image.operation in ("truncate", "many"):
                self._owner.changed(group)
                if image.operation == "many" or group.rule.function is None:
                    continue
            change = image.as_change(watch.table)
            ignored = by_default_for_row(change, watch.watched, image.vague) is Verdict.IGNORE
            if group.rule.function is not None or not ignored:
                questions.append((change, image.relation, image.vague))
        if questions:
            self._pose(group, questions)

    def _pose(self, group: Group, questions: Sequence[Question]) -> None:
        """Have questions asked, or the query run where its filter is too slow for them."""
        if group.unanswered or group.questions + len(questions) > BACKLOG:
            self._owner.changed(group)
            return
        group.questions += len(questions)
        task = self._tasks.spawn(self._ask(group, questions))
        task.add_done_callback(partial(_asked, group, len(questions)))

    async def _ask(self, group: Group, questions: Sequence[Question]) -> None:
        """Ask, in order, and run the query if any answer says so."""
        async with group.asking:
            if group.closed or group.rule is None or group.snapshot is None:
                return
            if group.throttle.dirty and group.rule.function is None:
                return  # a run is due already
            work = partial(self._answer, group, questions)
            if group.rule.runs_user_code:
                verdict, error = await self._patiently(group, work)
            else:
                verdict, error = await self._server.compute(work)
        if error is not None:
            self._owner.report(group, error)
        if verdict is not Verdict.IGNORE:
            self._owner.changed(group)

    async def _patiently(self, group: Group, work: Callable[[], Answer]) -> Answer:
        """Await a filter; while it takes too long every change refreshes."""
        answering = asyncio.ensure_future(alone(work, "pgrt-filter"))
        if not (await asyncio.wait({answering}, timeout=PATIENCE))[0]:
            message = f"The refresh filter has been busy for {PATIENCE:g} s; "
            self._owner.report(group, FilterFailed(message + "every change refreshes meanwhile."))
            group.unanswered = True
            self._owner.changed(group)
        try:
            return await answering
        finally:
            group.unanswered = False

    def _answer(self, group: Group, questions: Sequence[Question]) -> Answer:
        """Put the questions to the filter; runs on a thread where waiting is allowed."""
        assert group.rule is not None
        try:
            if group.rule.function is None:
                return answers(group, questions, None)
            return self._server.lend(
                lambda connection: answers(group, questions, connection), group.spec.conninfo
            )
        except Exception as error:  # no connection, or tables that the query reads no more
            failure = FilterFailed(f"The refresh filter could not be asked: {error}")
            failure.__cause__ = error
            return Verdict.UNSURE, failure

    def close(self) -> None:
        """Stop asking."""
        self._weighing.close()
        if self._ticking is not None:
            self._ticking.cancel()
        self._tasks.close()


def _asked(group: Group, count: int, task: object) -> None:
    """Note that questions wait no more."""
    group.questions -= count
