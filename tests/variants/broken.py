"""Leave one step of the journey out of the engine, to prove that a test would notice.

Each variant is a function that patches the engine; its name says what is wrong, its docstring what was
left out, and `README.md` which tests catch it. A test names the variants it catches:

    @against("no look-up")                     runs as built and once on each variant
    def test_something(leave_out, broken):
        leave_out(broken)                      as built: nothing
        ...
        with noticed(broken):                  as built: must pass; on a variant: must fail
            wait_until(..., patience(broken))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from psycopg import sql

from pgrt_jupyter import delivery, following, live, observing
from pgrt_jupyter.engine import (
    analysis,
    asking,
    capture,
    conditions,
    families,
    filters,
    frames,
    group,
    images,
    interest,
    model,
    predicates,
    preparation,
    proof,
    refresh,
    subscription,
    trigger,
)
from pgrt_jupyter.engine.asking import Asking
from pgrt_jupyter.engine.attention import Attention
from pgrt_jupyter.engine.audit import Audit
from pgrt_jupyter.engine.group import Group
from pgrt_jupyter.engine.listener import Listener
from pgrt_jupyter.engine.relevance import Verdict
from pgrt_jupyter.engine.rounds import Rounds
from pgrt_jupyter.engine.runs import Runs
from pgrt_jupyter.engine.runtime import Runtime
from pgrt_jupyter.engine.throttle import Action, Decision, Throttle

Patch = pytest.MonkeyPatch
QUIET = 0.5  # seconds in which a variant that lost a change would have had to repair it
USUAL = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Describe one way to break the engine."""

    name: str
    step: str  # of the journey
    left_out: str
    apply: Callable[[Patch], None]


VARIANTS: dict[str, Variant] = {}


def against(*names: str) -> pytest.MarkDecorator:
    """Run a test as built and on each of these variants, as the argument `broken`."""
    unknown = set(names) - VARIANTS.keys()
    assert not unknown, f"no such variant: {unknown}"
    return pytest.mark.parametrize("broken", ["", *names], ids=["as built", *names])


def break_engine(patch: Patch, broken: str) -> None:
    """Leave out what the variant leaves out; nothing for the engine as built."""
    if broken:
        VARIANTS[broken].apply(patch)


@contextmanager
def noticed(broken: str) -> Iterator[None]:
    """Require the block to pass as built, and to fail where something was left out."""
    try:
        yield
    except (AssertionError, TimeoutError):
        if not broken:
            raise
        return
    if broken:
        pytest.fail(f"{broken!r} went unnoticed")


def patience(broken: str) -> float:
    """Give the seconds to wait for what a variant must not get to."""
    return QUIET if broken else USUAL


def variant(step: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Enter a function into the list, its name with spaces and its docstring as the sentence."""

    def enter(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        name = apply.__name__.replace("_", " ")
        said = " ".join((apply.__doc__ or "").split())
        VARIANTS[name] = Variant(name=name, step=step, left_out=said, apply=apply)
        return apply

    return enter


async def _nothing(*arguments: Any, **named: Any) -> None:
    """Do nothing, on the loop."""


# -- analysis


@variant("analysis")
def known_texts_believed(patch: Patch) -> None:
    """What is known of a text counts for good, whatever happened to its tables."""

    def believing(connection: Any, statement: Any, *, known: Any) -> Any:
        literals = analysis._literals(connection, statement, known.dependencies.parameter_types)
        return replace(known, select=statement.bound(literals))

    patch.setattr(analysis, "with_values", believing)


@variant("analysis")
def views_not_followed(patch: Patch) -> None:
    """Only tables that the text names are watched, not those behind a view."""
    analyse = analysis.analyse

    def shallow(*arguments: Any, **named: Any) -> Any:
        found = analyse(*arguments, **named)
        deep = found.dependencies
        relations = tuple(r for r in deep.relations if r.oid in deep.named)
        return replace(found, dependencies=replace(deep, relations=relations))

    patch.setattr(analysis, "analyse", shallow)


# -- capture


def _after_creating(patch: Patch, statement: str) -> None:
    """Undo a part of what was installed, and believe it complete."""
    create = capture._create

    def partly(connection: Any, member: Any) -> None:
        create(connection, member)
        table = sql.Identifier(member.schema, member.name)
        connection.execute(sql.SQL(statement).format(table=table))

    patch.setattr(capture, "_create", partly)
    patch.setattr(capture, "is_complete", lambda connection, member: bool(member.triggers))


@variant("capture")
def no_truncate_trigger(patch: Patch) -> None:
    """There is no trigger for TRUNCATE."""
    _after_creating(patch, "DROP TRIGGER _pgrt_truncate ON {table}")


@variant("capture")
def silent_for_replicas(patch: Patch) -> None:
    """Triggers do not fire ALWAYS, so `session_replication_role = replica` writes unheard."""
    _after_creating(
        patch,
        "ALTER TABLE {table} ENABLE TRIGGER _pgrt_insert, ENABLE TRIGGER _pgrt_update,"
        " ENABLE TRIGGER _pgrt_delete, ENABLE TRIGGER _pgrt_truncate",
    )


@variant("capture")
def only_the_table_named(patch: Patch) -> None:
    """Partitions and inheritance children of a table are not watched."""
    find = families.find

    def alone(connection: Any, oids: Any) -> Any:
        found = find(connection, oids)
        return {o: tuple(m for m in members if m.oid == o) for o, members in found.items()}

    patch.setattr(families, "find", alone)


@variant("capture")
def compared_by_equality(patch: Patch) -> None:
    """Columns are compared with IS DISTINCT FROM, to which 1.0 and 1.00 are the same."""

    def differs(name: str, size: int) -> Any:
        text = "_pgrt_o.{0} IS DISTINCT FROM _pgrt_n.{0}"
        return sql.SQL(text).format(sql.Identifier(name))

    patch.setattr(trigger, "_differs", differs)


@variant("capture")
def errors_fail_the_write(patch: Patch) -> None:
    """An error inside the trigger is not caught."""
    body = trigger.body

    def uncaught(connection: Any, member: Any) -> str:
        text = body(connection, member)
        return text[: text.index("EXCEPTION WHEN OTHERS THEN")] + "END"

    patch.setattr(trigger, "body", uncaught)


@variant("capture")
def waits_for_writers(patch: Patch) -> None:
    """Installing waits for a busy table as long as it takes, and every writer behind it."""
    patch.setattr(capture, "LOCK_TIMEOUT_MS", 0)


@variant("capture")
def busy_tables_not_told(patch: Patch) -> None:
    """A query whose triggers could not be installed counts as live."""
    patch.setattr(Runtime, "told_problems", lambda self, group, problems: None)


# -- interest: hold, look up, run


@variant("interest")
def no_interest(patch: Patch) -> None:
    """No advisory lock is held, so triggers believe that nobody waits."""

    async def hold(self: Listener, keys: Any) -> frozenset[int]:
        return frozenset()

    patch.setattr(Listener, "hold", hold)


@variant("interest")
def no_look_up(patch: Patch) -> None:
    """Writers in flight, who may have found nobody waiting, are not looked up."""
    patch.setattr(Attention, "look_up_writers", _nothing)


@variant("interest")
def looked_up_before_holding(patch: Patch) -> None:
    """Writers in flight are looked up first and the keys taken afterwards."""

    async def cover(self: Attention, group: Group) -> None:
        if group.covered or not self.listening:
            return
        await self.look_up_writers(group)
        self._changed.add(group)
        await self.settle()
        group.covered = True

    patch.setattr(Attention, "cover", cover)


@variant("interest")
def run_before_holding(patch: Patch) -> None:
    """The query runs first; keys are taken and writers looked up when it has ended."""
    run = Runs._run

    async def late(self: Runs, group: Group, *rest: Any) -> None:
        self._attention.cover = _nothing  # type: ignore[method-assign]
        try:
            await run(self, group, *rest)
        finally:
            del self._attention.cover
        await self._attention.cover(group)

    patch.setattr(Runs, "_run", late)


@variant("interest")
def writers_not_awaited(patch: Patch) -> None:
    """Writers in flight are looked up, but no run follows when they have ended."""
    patch.setattr(Attention, "_watch_writers", _nothing)


@variant("interest")
def let_go_after_the_run(patch: Patch) -> None:
    """Keys that a due query needs no more are released after its run, not before."""

    def later(self: Attention, groups: list[Group]) -> None:
        async def release() -> None:
            while any(group.throttle.dirty or group.throttle.running for group in groups):
                await asyncio.sleep(0.001)
            if self._listener is not None:
                await self._listener.release(self._listener.held)

        if any(group.throttle.dirty for group in groups):
            self._tasks.spawn(release())

    patch.setattr(Attention, "settle_soon", later)


@variant("interest")
def not_taken_up_again(patch: Patch) -> None:
    """Keys that were let go while a run was due are not taken again for it."""
    settle = Attention.settle

    async def forgetful(self: Attention) -> None:
        covered = [query for query in self._owner.groups if query.covered]
        await settle(self)
        for query in covered:
            query.covered = True

    patch.setattr(Attention, "settle", forgetful)


@variant("interest")
def one_flag_for_all(patch: Patch) -> None:
    """Interest is one flag in the database that any engine may clear; the test acts that out by
    ending the other engine's connection, after which nothing reconnects."""
    patch.setattr(Attention, "_reconnect", _nothing)


@variant("interest")
def refused_keys_not_told(patch: Patch) -> None:
    """A query whose keys another session holds exclusively counts as live."""
    patch.setattr(Attention, "_tell_uncovered", lambda self, families: None)


@variant("interest")
def one_key_for_the_columns_read_first(patch: Patch) -> None:
    """Of the columns a query reads only one is waited for."""
    subjects = interest.subjects

    def fewer(need: interest.Need) -> frozenset[int]:
        return subjects(replace(need, tags=frozenset(sorted(need.tags)[:1])))

    patch.setattr(interest, "subjects", fewer)


# -- rounds: what a filter is asked about is read while nothing is announced


@variant("rounds")
def images_let_go_with_the_rest(patch: Patch) -> None:
    """With notifications, the images of changed rows end as well."""
    subjects = interest.subjects

    def none(need: interest.Need) -> frozenset[int]:
        return frozenset() if need.quiet else subjects(need)

    patch.setattr(interest, "subjects", none)


@variant("rounds")
def read_once_and_left_quiet(patch: Patch) -> None:
    """What is written after the first reading is read with the next notification, which nobody sends."""

    async def once(self: Rounds, group: Group) -> None:
        group.quiet = True
        self._attention.settle_soon([group])
        await self._read(group)
        await asyncio.Event().wait()

    patch.setattr(Rounds, "_follow", once)


@variant("rounds")
def armed_again_without_reading(patch: Patch) -> None:
    """Changes are announced again, and what was written just before is not read."""

    async def hasty(self: Rounds, group: Group) -> None:
        group.quiet = False
        await self._attention.arm(group)

    patch.setattr(Rounds, "_be_loud", hasty)


@variant("rounds")
def armed_again_without_looking_up_writers(patch: Patch) -> None:
    """Changes are announced again, and who wrote before and has not committed is forgotten."""
    patch.setattr(Attention, "look_up_unread", _nothing)


@variant("rounds")
def quiet_for_ever(patch: Patch) -> None:
    """When an interval has brought nothing, nobody asks for notifications again."""
    patch.setattr(Attention, "arm", _nothing)


@variant("rounds")
def never_quiet(patch: Patch) -> None:
    """Notifications go on while images are read."""
    subjects = interest.subjects
    patch.setattr(interest, "subjects", lambda need: subjects(replace(need, quiet=False)))


@variant("rounds")
def no_marks(patch: Patch) -> None:
    """A statement without images leaves nothing behind where it need not be announced."""
    body = trigger.body

    def unmarked(connection: Any, member: Any) -> str:
        return body(connection, member).replace("_pgrt_images = '' AND", "false AND")

    patch.setattr(trigger, "body", unmarked)


@variant("rounds")
def images_pruned_at_once(patch: Patch) -> None:
    """Images are deleted by the second audit after them, however soon that is."""
    patch.setattr(asking, "KEPT", 0.0)


# -- listening


@variant("listening")
def rest_of_a_batch_dropped(patch: Patch) -> None:
    """The loop over notifications is left after the first of a batch."""

    def deliver(self: Listener) -> None:
        batch, self._pending = self._pending, []
        if batch and not self._ended:
            self._heard(batch[:1])

    patch.setattr(Listener, "_deliver", deliver)


@variant("listening")
def strangers_end_the_batch(patch: Patch) -> None:
    """A payload that cannot be read raises, and what came with it is not acted on."""
    heard = Runtime.heard

    def strict(self: Runtime, payloads: list[str]) -> None:
        if not all(payload[:1].isdigit() for payload in payloads):
            return
        heard(self, payloads)

    patch.setattr(Runtime, "heard", strict)


@variant("listening")
def an_error_loses_the_batch(patch: Patch) -> None:
    """What goes wrong with one notification keeps the rest of its batch from being acted on."""

    def careless(self: Runtime, payloads: list[str]) -> None:
        try:
            self._hear(payloads)
        except Exception:
            return

    patch.setattr(Runtime, "heard", careless)


@variant("listening")
def judged_by_the_clock(patch: Patch) -> None:
    """A proof is late when its time is over, though nobody could look for it."""
    patch.setattr(proof, "LATE", 3600.0)


@variant("listening")
def heartbeat_always_true(patch: Patch) -> None:
    """The proof that notifications arrive is taken for granted."""

    async def prove(self: Listener) -> bool:
        return True

    patch.setattr(Listener, "_prove", prove)


@variant("listening")
def no_run_after_reconnecting(patch: Patch) -> None:
    """When the connection is back nothing runs again."""

    def regained(self: Runtime) -> None:
        for query in self.groups:
            query.doubts.outage = ""

    patch.setattr(Runtime, "regained", regained)


@variant("listening")
def no_check_after_reconnecting(patch: Patch) -> None:
    """When the connection is back queries run, but nobody looks after their triggers."""

    async def catch_up(self: Runtime, group: Group) -> None:
        self.changed(group)

    patch.setattr(Runtime, "_catch_up", catch_up)


@variant("listening")
def outage_not_told(patch: Patch) -> None:
    """A lost connection is mended behind a status that says live."""
    patch.setattr(Attention, "_tell_outage", lambda self, message: None)


@variant("listening")
def live_before_it_ran(patch: Patch) -> None:
    """The status says live as soon as the connection is back, before the query has caught up."""
    regained = Runtime.regained

    def hasty(self: Runtime) -> None:
        for query in self.groups:
            query.doubts.outage, query.doubts.synced = "", True
            query.notify()
        regained(self)

    patch.setattr(Runtime, "regained", hasty)


# -- relevance and filters


@variant("relevance")
def unsure_ignored(patch: Patch) -> None:
    """A notification by a trigger that could not tell what changed is ignored."""
    by_default = group.by_default

    def sure(change: Any, watch: Any) -> Verdict:
        return Verdict.IGNORE if change.operation is None else by_default(change, watch)

    patch.setattr(group, "by_default", sure)


@variant("relevance")
def only_the_new_image(patch: Patch) -> None:
    """A filter is asked about the row as it is, not as it was: a row that leaves goes unnoticed."""
    by_conditions = filters.by_conditions

    def half(change: Any, *rest: Any) -> Verdict:
        return by_conditions(replace(change, old=None), *rest)

    patch.setattr(filters, "by_conditions", half)


@variant("relevance")
def a_failing_filter_says_no(patch: Patch) -> None:
    """A filter that raises counts as one that does not want the refresh."""
    answers = asking.answers

    def negative(*arguments: Any) -> Any:
        verdict, failure = answers(*arguments)
        return (Verdict.IGNORE if failure is not None else verdict), failure

    patch.setattr(asking, "answers", negative)


@variant("relevance")
def images_of_another_snapshot(patch: Patch) -> None:
    """Reading row images goes on from a snapshot taken after the one they were read in."""
    read = images.read

    def later(connection: Any, since: str, tables: Any) -> images.Batch:
        batch = read(connection, since, tables)
        return images.Batch(images.now(connection), batch.images)

    patch.setattr(images, "read", later)


@variant("relevance")
def images_read_only_once(patch: Patch) -> None:
    """Who asks for row images while they are being read is given what that reading found."""
    read = Asking.read

    async def joining(self: Asking) -> frozenset[int] | None:
        if self._reading is None or self._reading.done():
            return await read(self)
        await asyncio.wait([self._reading])
        return frozenset()

    patch.setattr(Asking, "read", joining)


@variant("relevance")
def filters_awaited_for_ever(patch: Patch) -> None:
    """A filter that does not return keeps its query from running."""
    patch.setattr(asking, "PATIENCE", 3600.0)


# -- throttle and runs


@variant("relevance")
def conditions_count_beside_outer_joins(patch: Patch) -> None:
    """A condition counts though a row of NULLs, which stands for a missing partner, meets it."""
    condition = predicates._condition
    patch.setattr(predicates, "_condition", lambda node, strict: condition(node, False))


@variant("relevance")
def only_the_first_place(patch: Patch) -> None:
    """Where a query reads a table twice, rows are compared with the conditions of one place."""
    found = conditions._conditions
    patch.setattr(
        conditions, "_conditions", lambda oid, known, places: found(oid, known, places[:1])
    )


@variant("relevance")
def only_the_new_image_is_looked_at(patch: Patch) -> None:
    """Conditions are looked at for the row as it is, not as it was."""

    def newest(question: Any) -> Any:
        return [row.old if row.new is None else row.new for row in question.rows]

    patch.setattr(conditions, "_images", newest)


@variant("relevance")
def hashed_values_meet_nothing(patch: Patch) -> None:
    """A value that is too large to be kept counts as one that does not meet a condition."""
    patch.setattr(conditions, "_lacks", lambda condition, columns: False)


@variant("relevance")
def a_failing_look_says_no(patch: Patch) -> None:
    """Rows that cannot be looked at count as rows that do not matter."""
    matter = conditions.matter

    def careless(connection: Any, questions: Any) -> Any:
        try:
            return matter(connection, questions)
        except ArithmeticError:
            return [False] * len(questions)

    patch.setattr(conditions, "matter", careless)


@variant("relevance")
def conditions_by_another_name(patch: Patch) -> None:
    """Operators of others are taken for PostgreSQL's own."""
    tree = conditions._tree

    def trusting(*arguments: Any) -> Any:
        found = tree(*arguments)
        return found._replace(strange=False, operators=[*range(20_000)])

    patch.setattr(conditions, "_tree", trusting)
    find = conditions.find

    def blind(connection: Any, select: Any, dependencies: Any, fingerprint: Any) -> Any:
        tables = [oid for oid in dependencies.fingerprint_oids if oid > 0]
        known = replace(dependencies, fingerprint_oids=tuple(tables))
        return find(connection, select, known, fingerprint)

    patch.setattr(conditions, "find", blind)


@variant("throttle")
def restarting_throttle(patch: Patch) -> None:
    """Every change restarts the interval (a debounce)."""

    def changed(self: Throttle, now: float) -> Decision:
        self._dirty = True
        if self._started is not None:
            self._started = now
        return self.decide(now)

    patch.setattr(Throttle, "changed", changed)


@variant("throttle")
def changes_during_a_run_forgotten(patch: Patch) -> None:
    """A run answers what changed while it was under way, too."""

    def finished(self: Throttle, now: float) -> Decision:
        self._running = self._dirty = False
        return self.decide(now)

    patch.setattr(Throttle, "finished", finished)


@variant("throttle")
def no_interval(patch: Patch) -> None:
    """Every change runs the query at once."""
    changed = Throttle.changed

    def eager(self: Throttle, now: float) -> Decision:
        self._forced = True
        return changed(self, now)

    patch.setattr(Throttle, "changed", eager)


@variant("throttle")
def older_replaces_newer(patch: Patch) -> None:
    """Runs of one query go side by side and publish in the order in which they end."""

    def decide(self: Throttle, now: float) -> Decision:
        return Decision(Action.START if self._dirty else Action.NOTHING, now)

    def started(self: Throttle, now: float) -> None:
        self._running, self._dirty, self._forced, self._started = True, False, False, now

    def finished(self: Throttle, now: float) -> Decision:
        self._running = False
        return self.decide(now)

    for replacement in (decide, started, finished):
        patch.setattr(Throttle, replacement.__name__, replacement)


@variant("runs")
def no_run_for_who_joins(patch: Patch) -> None:
    """A second subscriber is shown the result that is there, however old."""
    at_once = Runs.at_once

    async def reuse(self: Runs, group: Group) -> None:
        if group.snapshot is None:
            await at_once(self, group)
        else:
            group.notify()

    patch.setattr(Runs, "at_once", reuse)


@variant("runs")
def resumed_without_a_run(patch: Patch) -> None:
    """A query that is resumed waits for the next change."""

    def pause(self: Runtime, group: Group, subscriber: Any, paused: bool) -> None:
        group.subscribers[subscriber] = paused
        group.notify()

    patch.setattr(Runtime, "pause", pause)


@variant("runs")
def never_by_itself(patch: Patch) -> None:
    """Nothing runs without a notification: neither what cannot be watched nor what failed."""
    patch.setattr(Runs, "plan_poll", lambda self, group: None)


@variant("runs")
def may_write(patch: Patch) -> None:
    """Queries run in ordinary transactions, not in READ ONLY ones."""
    reading = refresh.reading

    @contextmanager
    def writing(connection: Any, *query: Any) -> Iterator[Any]:
        with reading(connection, *query) as given:
            connection.execute("SET TRANSACTION READ WRITE")
            yield given

    patch.setattr(refresh, "reading", writing)


@variant("runs")
def runs_committed(patch: Patch) -> None:
    """A run ends with COMMIT: what it notified is sent, what it set stays for the next query."""

    @contextmanager
    def committing(connection: Any, *query: Any) -> Iterator[Any]:
        connection.execute(b"BEGIN READ ONLY")
        try:
            yield frames.describe(connection, *query), _no_end
        except BaseException:
            connection.execute(b"ROLLBACK")
            raise
        connection.execute(b"COMMIT")

    def _no_end() -> None:
        pass

    patch.setattr(refresh, "reading", committing)


@variant("runs")
def shared_across_roles(patch: Patch) -> None:
    """Two roles that ask the same share one run."""
    shared = subscription.shared
    roster = preparation.Roster

    def roleless(spec: Any) -> Any:
        return tuple(part for part in shared(spec) if part != spec.conninfo.value)

    patch.setitem(roster.add.__globals__, "shared", roleless)


@variant("runs")
def frame_kept_after_a_revoke(patch: Patch) -> None:
    """Rows stay on show after the role has lost the right to read them."""
    patch.setattr(group, "_blank", lambda snapshot, backend: snapshot)


# -- audit


@variant("audit")
def audit_never(patch: Patch) -> None:
    """Nobody looks after triggers."""
    patch.setattr(Audit, "check", _nothing)


@variant("audit")
def definitions_not_compared(patch: Patch) -> None:
    """The audit looks after triggers, not after tables that are no longer the same."""

    async def triggers_only(self: Audit, groups: list[Group], found: Any) -> None:
        for missed in await self._preparation.ensure_captures(groups):
            self._runtime.changed(missed)

    patch.setattr(Audit, "_check_definitions", triggers_only)


@variant("audit")
def full_queue_not_told(patch: Patch) -> None:
    """Queries count as live while triggers keep silent because the server's queue is half full."""
    patch.setattr(Audit, "_check_queue", _nothing)


# -- comparing and telling


@variant("telling")
def equal_results_published(patch: Patch) -> None:
    """A result is published without comparing it with the last."""
    patch.setattr(model.Snapshot, "is_of", lambda *arguments: False)


@variant("telling")
def delta_of_the_wrong_base(patch: Patch) -> None:
    """A delta is worked out against the first result, not against the last."""
    real = refresh.Difference
    first: list[Any] = []

    def difference(previous: Any, current: Any, key: Any) -> Any:
        first.append(current if previous is None else previous)
        return real(first[0], current, key)

    patch.setattr(refresh, "Difference", difference)


@variant("telling")
def news_lost_in_merging(patch: Patch) -> None:
    """News that comes while a receiver is being told counts as told."""

    def deaf(self: delivery.Delivery, receiver: Any) -> None:
        receiver.push()
        self._pushing.discard(receiver)

    patch.setattr(delivery.Delivery, "_bring", deaf)


@variant("telling")
def one_observer_stops_the_others(patch: Patch) -> None:
    """What an observer raises ends the notification of the rest."""
    patch.setattr(delivery.Observer, "_guarded", lambda self, change: self._handler(change))


@variant("telling")
def old_observers_left_behind(patch: Patch) -> None:
    """Replacing a query under its name makes a new object instead of keeping the old."""
    attach = live.LiveQuery.attach

    def forgetting(self: live.LiveQuery, *arguments: Any, **named: Any) -> bool:
        self.unobserve_all()
        return attach(self, *arguments, **named)

    patch.setattr(live.LiveQuery, "attach", forgetting)


@variant("telling")
def frames_shared(patch: Patch) -> None:
    """Users are given the engine's own frame, and what they write into it is everybody's."""
    patch.setattr(frames, "own", lambda frame: frame)


@variant("telling")
def observers_not_overtaken(patch: Patch) -> None:
    """An observer that does not return keeps the thread that the others need."""
    patch.setattr(observing, "SLOW_SECONDS", 3600.0)


# -- binding: parameters follow traits


@variant("binding")
def old_values_called_live(patch: Patch) -> None:
    """A result counts as live although its parameters have other values by now."""
    patch.setattr(following.Following, "standing", lambda self: None)


@variant("binding")
def changes_on_the_way_forgotten(patch: Patch) -> None:
    """A value that is set while the result for another is on its way is not asked for."""
    changed = following.Following._changed

    def hasty(self: following.Following) -> None:
        if self._task is None:
            changed(self)

    patch.setattr(following.Following, "_changed", hasty)


@variant("binding")
def late_results_shown(patch: Patch) -> None:
    """A result for values of before is shown although the query has been replaced meanwhile."""
    attach = live.LiveQuery.attach

    def anyway(self: live.LiveQuery, *arguments: Any, **named: Any) -> bool:
        if named.get("instead_of") is not None:
            named["instead_of"] = self._subscription
        return attach(self, *arguments, **named)

    patch.setattr(live.LiveQuery, "attach", anyway)
    patch.setattr(following.Following, "_dropped", lambda self: None)


@variant("binding")
def each_value_on_its_own(patch: Patch) -> None:
    """Two values set one after the other are two changes, and a result is shown for the first alone."""
    patch.setattr(following.Following, "_heard", following.Following._changed)
