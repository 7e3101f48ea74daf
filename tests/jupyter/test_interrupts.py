"""An interrupt at any moment leaves a working subscription or nothing.

`PGRT_INTERRUPTS` sets how many are tried per verb, `PGRT_SEED` repeats a run.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import interrupts
from pgrt_jupyter.testing import wait_until

TIMES = int(os.environ.get("PGRT_INTERRUPTS", "50"))
SEED = int(os.environ.get("PGRT_SEED", "0")) or random.randrange(1, 10**6)
QUERY = "SELECT id, n FROM numbers ORDER BY id"
SOON = 20e-6  # seconds; a signal is not due earlier

OURS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'pgrt_jupyter'"
)
LEFT = (
    "SELECT (SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
    "         WHERE locktype = 'advisory' AND datname = current_database()),"
    "       (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),"
    "       (SELECT count(*) FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace"
    "         WHERE nspname LIKE 'pg\\_temp%')"
)


@pytest.fixture
def db(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with a table of three numbers."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    connection.execute("INSERT INTO numbers SELECT g, g FROM generate_series(1, 3) AS g")
    return connection


@pytest.fixture
def interrupted() -> Iterator[Callable[..., bool]]:
    """Give a function that interrupts a call at a random moment and says whether that showed."""
    chance = random.Random(SEED)
    print(f"PGRT_SEED={SEED}")
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))

    def call(verb: Callable[[], object], longest: float) -> bool:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(SOON, longest))
                verb()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            return True
        return False

    yield call
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    assert interrupts._current is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def works(engine: pgrt.Engine, db: Any) -> None:
    """Require of every subscription that it follows the database."""
    for query in engine.subscriptions().values():
        db.execute("UPDATE numbers SET n = n + 1 WHERE id = 1")
        expected = db.execute(query.sql).fetchall()
        query.wait_for(lambda df, rows=expected: [tuple(r) for r in df.to_numpy()] == rows)


def median(verb: Callable[[], object], times: int = 5) -> float:
    """Time a verb, so that interrupts fall into it on any machine."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        verb()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[times // 2]


def test_verbs_on_a_subscription(dsn: str, db: Any, interrupted: Callable[..., bool]) -> None:
    """Subscribing anew, replacing, refreshing, waiting and ending: done or not done, nothing between."""
    seen: Counter[tuple[str, bool]] = Counter()
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        number = iter(range(10**6))

        def end() -> None:
            engine.unsub("q")

        def begin() -> pgrt.LiveQuery:
            return engine.sub("q", QUERY)

        def other() -> pgrt.LiveQuery:
            return engine.sub("q", f"SELECT id, n + {next(number)} AS n FROM numbers ORDER BY id")

        def wait() -> None:
            with pytest.raises(TimeoutError):
                engine.sub("q").wait_for(lambda df: False, timeout=0.01)

        cases: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "sub": (end, begin),
            "replace": (begin, other),
            "refresh": (begin, lambda: engine.sub("q").refresh()),
            "wait_for": (begin, wait),
            "unsub": (begin, end),
        }
        threads = None
        for name, (prepare, verb) in cases.items():
            prepare()
            usual = median(verb)
            for _ in range(TIMES):
                prepare()
                before = engine.sub("q").sql if "q" in engine.subscriptions() else None
                seen[name, interrupted(verb, 1.5 * usual)] += 1
                after = engine.sub("q").sql if "q" in engine.subscriptions() else None
                if name != "replace":
                    assert after in (None, QUERY)
                    assert name in ("sub", "unsub") or after == before
            works(engine, db)
            threads = threads or threading.active_count() + 1
        assert threading.active_count() <= threads + 1  # one that overtakes a slow observer
        assert db.execute(OURS).fetchone()[0] <= 1 + 4
        engine.unsub("q")
        wait_until(lambda: db.execute(LEFT).fetchone() == (0, 0, 0))
    assert {name for name, was in seen if was} == set(cases), seen


def test_beginning_and_ending(
    request: pytest.FixtureRequest, dsn: str, db: Any, interrupted: Callable[..., bool]
) -> None:
    """An engine whose start or end was interrupted runs or does not; no thread, no connection between."""
    gc.disable()  # it would tidy up what was left open
    request.addfinalizer(gc.enable)
    threads = threading.active_count()
    seen: Counter[tuple[str, bool]] = Counter()
    engine = pgrt.Engine(dsn, throttle_ms=0)
    usual = {"start": median(engine.start, 1), "shutdown": median(engine.shutdown, 1)}
    for _ in range(TIMES):
        seen["start", interrupted(engine.start, 1.5 * usual["start"])] += 1
        if not engine.running:
            wait_until(lambda: threading.active_count() == threads)
            engine.start()
        engine.sub("q", QUERY)
        works(engine, db)
        seen["shutdown", interrupted(engine.shutdown, 2 * usual["shutdown"])] += 1
        if engine.running:
            works(engine, db)
            engine.shutdown()
        assert engine.subscriptions() == {}
        wait_until(lambda: threading.active_count() == threads)
    wait_until(lambda: db.execute(OURS).fetchone() == (0,))
    assert {name for name, was in seen if was} == {"start", "shutdown"}, seen


def test_a_long_query_is_stopped_on_the_server(dsn: str, db: Any) -> None:
    """Interrupting `sub` of a slow query ends it there too, at once, and nothing is subscribed."""
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61)%'"
    running += " AND state = 'active' AND pid <> pg_backend_pid()"
    with pgrt.Engine(dsn) as engine:

        def interrupt() -> None:
            wait_until(lambda: db.execute(running).fetchone() == (1,))
            os.kill(os.getpid(), signal.SIGINT)

        other = threading.Thread(target=interrupt)
        other.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            engine.sub("slow", "SELECT n, pg_sleep(61)::text FROM numbers LIMIT 1")
        assert time.monotonic() - began < 20
        other.join()
        assert engine.subscriptions() == {}
        wait_until(lambda: db.execute(running).fetchone() == (0,))
        engine.sub("q", QUERY)
        works(engine, db)


def test_unsubscribing_stops_a_run_on_the_server(dsn: str, db: Any) -> None:
    """A query that nobody wants any more does not go on for its minute; a shared one does."""
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.1 + %'"
    running += " AND state = 'active' AND pid <> pg_backend_pid()"
    slow = "SELECT id, pg_sleep(0.1 + (SELECT max(n) - 3 FROM numbers))::text FROM numbers LIMIT 1"
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        engine.sub("slow", slow)
        engine.sub("same", slow)
        db.execute("UPDATE numbers SET n = 64 WHERE id = 3")
        wait_until(lambda: db.execute(running).fetchone() == (1,))
        engine.unsub("slow")
        assert db.execute(running).fetchone() == (1,)
        engine.unsub("same")
        wait_until(lambda: db.execute(running).fetchone() == (0,))


def test_nobody_waits_for_a_thread_that_subscribes(dsn: str, db: Any) -> None:
    """A slow `sub` on another thread holds up neither an interrupt here nor the end."""
    asked = threading.Event()
    failure: list[BaseException] = []

    def subscribe() -> None:
        asked.set()
        try:
            engine.sub("slow", "SELECT pg_sleep(62)::text")
        except pgrt.PgrtError as error:
            failure.append(error)

    with pgrt.Engine(dsn) as engine:
        other = threading.Thread(target=subscribe)
        other.start()
        asked.wait()
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            engine.sub("q", QUERY)
        timer.join()
    other.join(10)
    assert isinstance(failure[0], pgrt.EngineNotRunning)


def test_a_handler_that_is_no_function_is_left_alone(dsn: str, db: Any) -> None:
    """Where interrupts are ignored they still are, as in an idle kernel."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pgrt.Engine(dsn) as engine:
            engine.sub("q", QUERY)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


LOOP = """
import itertools
while True:
    for name in ('a', 'b', 'a'):
        get_ipython().run_cell_magic('livequery', name, 'SELECT id, n FROM numbers ORDER BY id')
    pgrt.unsub('a')
    b.refresh()
"""


def test_a_kernel_survives_interrupts(kernel: Any, db: Any) -> None:
    """Interrupts while idle mean nothing; interrupted cells leave queries that live."""
    kernel.run("import pgrt_jupyter as pgrt, threading")
    kernel.run("%%livequery numbers --throttle 0\nSELECT id, n FROM numbers ORDER BY id")
    for _ in range(20):
        kernel.manager.interrupt_kernel()
    chance = random.Random(SEED)
    for _ in range(8):
        cell = kernel.submit(LOOP)
        kernel.until(lambda m: m["msg_type"] == "display_data")
        time.sleep(chance.uniform(0, 0.05))
        kernel.manager.interrupt_kernel()
        assert kernel.finish(cell).reply["ename"] == "KeyboardInterrupt"
    db.execute("UPDATE numbers SET n = 77 WHERE id = 1")
    kernel.run(
        "for query in pgrt.subscriptions().values():\n"
        "    assert query.wait_for(lambda df: df['n'][0] == 77).shape == (3, 2)\n"
        "assert numbers.status == 'live'\n"
        "assert threading.active_count() < 20, threading.enumerate()"
    )
