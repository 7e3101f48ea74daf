"""Drive random examples and judge them: after writes stop, each live DataFrame equals a fresh run.

An own driver, not hypothesis' state machine. Between two runs of one example threads, locks and kills
fall differently, so a failure need not come back at once; hypothesis calls such a test flaky and stops
shrinking, and its choices depend on what earlier rules returned. Here an example is a seed and a set of
step numbers: step n draws from its own `Random(f"{seed}.{n}")` and looks at the schema as it finds it,
so a step left out moves no other step's choices. Shrinking leaves out steps and tries each remaining
set several times.

Half of the examples are calm: nothing breaks, no definition changes and the audit sleeps, so nothing
but a notification can repair what a lost one left behind.

    replay one example     PGRT_ORACLE_SEED=1234 pytest tests/oracle
    shrink it              python -m tests.oracle --seed 1234 --examples 1 --shrink
    run for long           python -m tests.oracle --minutes 60
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg

import pgrt_jupyter as pgrt
from pgrt_jupyter.testing import wait_until

from . import compare, faults, queries, schemas, writes
from .coverage import Coverage
from .definitions import Definitions
from .queries import Query
from .world import LOOKING, PULSE, Cluster, Live, World

STEPS = 30
SUBSCRIPTIONS = 5
WITHIN = 25.0  # seconds for everything to converge; usual is a tenth of one, after DDL about one
CONTROL_WITHIN = 15.0  # seconds for the control query, which nothing but an outage may delay
HONEST_WITHIN = PULSE.interval + PULSE.deadline + 8.0  # a frame older than this must not say live


STUCK = 150.0  # seconds a step may take before the threads' stacks are printed and all ends


class Mismatch(AssertionError):
    """A promise was broken; the message holds everything needed to look into it."""


@dataclass(slots=True)
class Tally:
    """Count what was done."""

    examples: int = 0
    steps: int = 0
    faults: int = 0
    comparisons: int = 0
    looked: int = 0  # at changed rows, for one query
    spared: int = 0  # runs, since they did not matter
    deltas: int = 0  # runs that read what changed
    mismatches: int = 0
    coverage: Coverage = field(default_factory=Coverage)

    def __str__(self) -> str:
        return (
            f"{self.examples} examples, {self.steps} steps, {self.faults} faults,"
            f" {self.comparisons} comparisons, {self.looked} looks at rows, {self.spared} runs spared,"
            f" {self.deltas} runs of what changed,"
            f" {self.mismatches} mismatches"
        )


class Example:
    """Run one example: a schema, subscriptions, steps, and the judgement."""

    def __init__(
        self,
        cluster: Cluster,
        seed: str,
        *,
        steps: Iterable[int] = range(STEPS),
        tally: Tally | None = None,
        within: float = WITHIN,
        calm: bool | None = None,
    ) -> None:
        self.seed = seed
        self.steps = list(steps)
        self.tally = tally or Tally()
        self.within = within
        rng = Random(f"{seed}.world")
        as_owner, drawn = rng.random() < 0.4, rng.random() < 0.5
        self.calm = drawn if calm is None else calm
        networked = not self.calm and rng.random() < 0.6
        look = Random(f"{seed}.looking").choice(["at once", *LOOKING])
        self.world = World(
            cluster, as_owner=as_owner, audits=not self.calm, networked=networked, looking=look
        )
        self._rng = rng
        self._deltas = 0  # of queries that have ended

    def run(self) -> None:
        """Run it; raises Mismatch with a report."""
        self.tally.examples += 1
        with self.world:
            self._build()
            watching = _Honesty(self.world)
            try:
                for number in self.steps:
                    self._step(number)
                self._settle(Random(f"{self.seed}.end"), heal=True)
            finally:
                faulthandler.cancel_dump_traceback_later()
                watching.stop()
                self.tally.looked += len(self.world.looked)
                self.tally.spared += self.world.looked.count(False)
                self.tally.deltas += self._deltas + self._count_deltas(self.world.lives.values())
            self._shut_down()

    # -- the beginning and the end

    def _build(self) -> None:
        world, rng = self.world, self._rng
        world.admin.execute(f'GRANT CREATE ON DATABASE "{world.admin.info.dbname}" TO public')
        for statement in schemas.draw(rng, world.version, world.cluster.readers):
            world.execute(world.owner, statement)
        for _ in range(2):
            self._one(Random(f"{self.seed}.view{_}"), lambda d: ("view", d._create_view()))
        for table in world.catalog().tables:
            world.execute(world.owner, writes.fill(rng, table))
        world.start()
        for number in range(SUBSCRIPTIONS):
            self._subscribe(Random(f"{self.seed}.sub{number}"), f"q{number}")

    def _shut_down(self) -> None:
        """End the engine and see that nothing of it is left."""
        world = self.world
        for engine in (*world.others, world.engine):
            engine.shutdown()
        left = lambda: [t.name for t in threading.enumerate() if t.name.startswith("pgrt")]  # noqa: E731
        try:
            wait_until(lambda: not left() and not world.pids(), 10)
        except TimeoutError:
            self._fail(f"left behind: threads {left()}, connections {world.pids()}")

    def _count_deltas(self, lives: Iterable[Live]) -> int:
        return sum((live.lq.refresh_kinds or {}).get("delta", 0) for live in lives)

    # -- steps

    def _step(self, number: int) -> None:
        rng = Random(f"{self.seed}.{number}")
        faulthandler.dump_traceback_later(STUCK, exit=True, file=sys.__stderr__)
        self.world.note(f"-- step {number}")
        self.tally.steps += 1
        act = rng.choices(
            [
                self._write,
                self._burst,
                self._transaction,
                self._define,
                self._harm,
                self._change,
                self._look,
            ],
            [22, 6, 40, 0, 6, 6, 20] if self.calm else [30, 6, 20, 13, 13, 8, 14],
        )[0]
        kind = act(rng)
        features = {f for live in self.world.lives.values() for f in live.query.features}
        self.tally.coverage.met(features, kind)
        self._check_control()
        self._check_findings()

    def _write(self, rng: Random) -> str:
        """Write one statement, in a transaction of its own or one that is open."""
        drawn = writes.draw(rng, self.world.catalog(), self.world.version)
        if drawn is None:
            return "nothing"
        self.world.execute(rng.choice(self.world.writers), drawn[1])
        return drawn[0]

    def _burst(self, rng: Random) -> str:
        """Write from several threads at once."""
        catalog, version = self.world.catalog(), self.world.version
        plans = [
            [d[1] for _ in range(8) if (d := writes.draw(rng, catalog, version))]
            for _ in self.world.crowd
        ]

        def work(connection: psycopg.Connection[Any], plan: list[writes.Write]) -> None:
            for write in plan:
                self.world.execute(connection, write)

        threads = [
            threading.Thread(target=work, args=pair)
            for pair in zip(self.world.crowd, plans, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "burst of writers"

    def _transaction(self, rng: Random) -> str:
        """Begin, go on with, or end a transaction of one of the writers."""
        world = self.world
        writer = rng.choice(world.writers)
        status = writer.info.transaction_status
        if status == psycopg.pq.TransactionStatus.INERROR:
            world.execute(writer, "ROLLBACK")
            return "rollback"
        if status == psycopg.pq.TransactionStatus.INTRANS and rng.random() < 0.5:
            word = rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])
            world.execute(writer, word)
            return f"late {word.lower()}"
        if status == psycopg.pq.TransactionStatus.IDLE:
            level = rng.choice(
                ["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
            )
            world.execute(writer, f"BEGIN ISOLATION LEVEL {level}")
            if rng.random() < 0.3:
                world.execute(
                    writer, "SELECT count(*) FROM control.clock"
                )  # an old snapshot from here on
                return "open transaction with a snapshot"
        savepoint = rng.random() < 0.4
        if savepoint:
            world.execute(writer, "SAVEPOINT s")
        for _ in range(rng.randint(1, 3)):
            drawn = writes.draw(rng, world.catalog(), world.version)
            if drawn is not None and world.execute(writer, drawn[1]) is not None:
                break
        if savepoint:
            world.execute(writer, "ROLLBACK TO s")
            return "savepoint rolled back"
        return "write in an open transaction"

    def _define(self, rng: Random) -> str:
        """Change a definition."""
        return self._one(rng, Definitions.draw)

    def _one(
        self, rng: Random, draw: Callable[[Definitions], tuple[str, list[str] | None] | None]
    ) -> str:
        world = self.world
        drawn = draw(Definitions(rng, world.catalog(), world.version, world.cluster.readers))
        if drawn is None or drawn[1] is None:
            return "nothing"
        world.define(drawn[1])
        return drawn[0]

    def _harm(self, rng: Random) -> str:
        """Do harm, or end what lasts."""
        world = self.world
        if world.heals and rng.random() < 0.5:
            name = rng.choice(sorted(world.heals))
            world.note(f"healing {name}")
            world.heals.pop(name)()
            return f"healed {name}"
        fault = rng.choice(faults.GENTLE if self.calm else faults.KINDS)
        world.note(f"fault {fault.__name__}")
        self.tally.faults += 1
        fault(world, rng)
        return fault.__name__.replace("_", " ")

    def _change(self, rng: Random) -> str:
        """Subscribe, subscribe anew, or leave."""
        names = sorted(self.world.lives)
        if names and rng.random() < 0.3:
            self._deltas += self._count_deltas([self.world.lives[name := rng.choice(names)]])
            self.world.leave(name)
            return "unsub"
        name = rng.choice(names) if names and rng.random() < 0.5 else f"q{rng.randrange(8)}"
        self._subscribe(rng, name)
        return "sub"

    def _look(self, rng: Random) -> str:
        """Wait until everything has converged, with or without ending what is open."""
        self._settle(rng, heal=rng.random() < 0.4)
        return "look"

    # -- subscriptions

    def _subscribe(self, rng: Random, name: str) -> None:
        world = self.world
        query: Query | None = None
        for _ in range(9):
            query = queries.draw(rng, world.catalog(), world.version)
            if query is not None:
                break
        if query is None:
            return
        role = rng.choice(["", "", *world.cluster.readers])
        try:
            world.subscribe(name, query, role)
        except pgrt.PgrtError as error:
            world.note(f"refused: {error!r}")
            if not world.heals and not self._is_locked():
                self._check_refusal(error, query, role)

    def _check_refusal(self, error: pgrt.PgrtError, query: Query, role: str) -> None:
        """Require that a query we refuse is one that the server refuses."""
        if error.sqlstate in ("57014", "55P03", "40P01", "57P01") or isinstance(
            error, pgrt.ServerUnavailable
        ):
            return
        try:
            with psycopg.connect(self.world.as_role(role), autocommit=True) as connection:
                connection.execute("SET search_path = first, app, public")
                connection.execute(query.fresh.encode())
        except psycopg.Error:
            return
        self._fail(f"refused {query.sql!r} as {role!r}, which the server answers: {error!r}")

    # -- judgement

    def _is_locked(self) -> bool:
        """Say whether somebody keeps readers waiting."""
        row = self.world.admin.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND granted"
            " AND mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        return row != (0,)

    def _settle(self, rng: Random, *, heal: bool) -> None:
        """Stop writing, heal, wait, compare everything."""
        world = self.world
        if heal or self._is_locked():
            world.commit_all(rng)
        for name in sorted(world.heals):
            world.note(f"healing {name}")
            world.heals.pop(name)()
        for live in world.lives.values():
            if live.paused:
                live.lq.resume()
                live.paused = False
        busy = any(w.info.transaction_status for w in world.writers)
        world.note("-- looking")
        pending = dict(world.lives)
        deadline = time.monotonic() + self.within
        told: dict[str, str] = {}
        while pending:
            for name, live in list(pending.items()):
                found = self._compare(live, busy=busy)
                if found is None:
                    del pending[name]
                else:
                    told[name] = found
            if pending and time.monotonic() > deadline:
                self._fail_to_converge(pending, told)
            if pending:
                time.sleep(0.05)
        self._check_control(always=True)
        self._check_findings()

    def _compare(self, live: Live, *, busy: bool) -> str | None:
        self.tally.comparisons += 1
        return compare.difference(live.lq, live.query, live.conninfo, busy=busy)

    def _check_control(self, *, always: bool = False) -> None:
        """Require that the control query follows, whatever happens to the others."""
        world = self.world
        at = world.tick()
        if world.barriers:
            return
        try:
            world.control.wait_for(lambda df: len(df) == 1 and df.iloc[0, 0] >= at, CONTROL_WITHIN)
        except TimeoutError as error:
            self._fail(f"the control query does not follow: {error}")

    def _check_findings(self) -> None:
        for live in self.world.lives.values():
            if live.went_back:
                self._fail(f"{live.lq.name}: {live.went_back}")
        if self.world.failures:
            self._fail("; ".join(self.world.failures))

    def _fail_to_converge(self, pending: dict[str, Live], told: dict[str, str]) -> None:
        lines = []
        for name, live in pending.items():
            lq = live.lq
            lines += [
                f"{name} as {live.role or 'the engine'}: {live.query.sql}",
                f"   {live.query.params} {live.query.options} features {sorted(live.query.features)}",
                f"   {told[name]}",
                f"   {lq.plan}; {lq.refresh_kinds}",
                f"   status {lq.status}, {lq.refresh_count} runs, error {lq.error!r}",
                f"   tables {dict(lq.tables)}",
                f"   unwatched {lq.unwatched}",
            ]
        self._fail(f"not converged within {self.within:g} s\n" + "\n".join(lines))

    def _fail(self, reason: str) -> None:
        world = self.world
        tables = "\n".join(
            f"   {r.quoted} {r.kind} key {r.key} parent {r.parent} "
            + ", ".join(f"{c.quoted} {c.type}" for c in r.columns)
            for r in world.catalog().relations
        )
        raise Mismatch(
            f"seed {self.seed}, {'calm, ' if self.calm else ''}looking {world.looking},"
            f" steps {_ranges(self.steps)},"
            f" PostgreSQL {world.version}\n{reason}\n"
            f"-- schema\n{tables}\n-- last events\n" + "\n".join([*world.events][-200:])
        )


class _Honesty:
    """Watch that the control query never says live while it is older than the bound."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="oracle-honesty", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        lied_since = 0.0
        while not self._end.wait(0.05):
            now = time.monotonic()
            due = max(
                (at for when, at in self._world.ticks if when < now - HONEST_WITHIN), default=0
            )
            status, frame = self._world.control.status, self._world.control.df
            honest = status != "live" or (len(frame) == 1 and frame.iloc[0, 0] >= due)
            lied_since = 0.0 if honest else lied_since or now
            # Twice, since status and frame are read one after the other.
            if lied_since and now - lied_since > 0.3:
                self._world.failures.append(f"says live and is more than {HONEST_WITHIN:g} s old")
                return


def _ranges(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def run(
    conninfo: str,
    seconds: float,
    seed: int,
    *,
    progress: Callable[[str], object] = print,
    examples: int | None = None,
    every: float = 5.0,
    go_on: bool = False,
    within: float = WITHIN,
    calm: bool | None = None,
) -> Tally:
    """Run examples for so many seconds; raises Mismatch at the first, or reports all and goes on."""
    tally, cluster = Tally(), Cluster(conninfo)
    began = said = time.monotonic()
    progress(f"oracle: seed {seed}")
    try:
        number = 0
        while time.monotonic() - began < seconds and (examples is None or number < examples):
            try:
                options = {"tally": tally, "within": within, "calm": calm}
                Example(cluster, f"{seed + number}", **options).run()
            except Mismatch as found:
                tally.mismatches += 1
                if not go_on:
                    raise
                progress(f"MISMATCH {found}")
            number += 1
            if time.monotonic() - said > every:
                said = time.monotonic()
                progress(f"{said - began:6.0f} s  {tally}")
    finally:
        cluster.close()
    return tally


def shrink(
    conninfo: str,
    seed: str,
    *,
    tries: int = 2,
    within: float = 8.0,
    progress: Callable[[str], object] = print,
) -> Mismatch | None:
    """Leave out steps for as long as the example fails without them; gives the last failure."""
    cluster = Cluster(conninfo)

    def fails(steps: list[int]) -> Mismatch | None:
        for _ in range(tries):
            try:
                Example(cluster, seed, steps=steps, within=within).run()
            except Mismatch as found:
                return found
        return None

    try:
        steps = list(range(STEPS))
        failure = fails(steps)
        size = len(steps) // 2
        while failure is not None and size:
            start = 0
            while start < len(steps):
                fewer = steps[:start] + steps[start + size :]
                found = fails(fewer)
                progress(f"{len(fewer)} steps: {'fails' if found else 'passes'}")
                if found is not None:
                    steps, failure = fewer, found
                else:
                    start += size
            size //= 2
        return failure
    finally:
        cluster.close()
