"""Harm backends, the server, and the engine's own process, by signals and by the server's functions."""

from __future__ import annotations

import os
import signal
import time
from random import Random

from .stage import Certain, Stage

_OURS = "application_name = 'pgrt_jupyter' AND datname = 'soak'"
_LISTENER = (
    "SELECT l.pid FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid"
    f" WHERE l.locktype = 'advisory' AND l.mode = 'ShareLock' AND {_OURS} LIMIT 1"
)


def listener_query() -> str:
    """Give the query that finds the backend that hears for the engine: the one that holds its interest."""
    return _LISTENER


def listener_pid(stage: Stage) -> int | None:
    """Find that backend, waiting for one; None where there is none."""
    for _ in range(200):
        found = stage.execute(_LISTENER)
        if found:
            return int(found[0][0])
        time.sleep(0.05)
    return None


def terminate_listener(stage: Stage, chance: Random) -> Certain:
    stage.execute("SELECT pg_terminate_backend(%s)", listener_pid(stage))
    return True


def terminate_pool(stage: Stage, chance: Random) -> Certain:
    """End the connections that run queries, some of them in the middle of one."""
    listener = listener_pid(stage)
    for _ in range(chance.randint(1, 10)):
        stage.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_OURS} AND pid <> %s",
            listener,
        )
    return False


def terminate_all(stage: Stage, chance: Random) -> Certain:
    for _ in range(chance.choice([1, 1, 10])):
        stage.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_OURS}")
    return True


def cancel_queries(stage: Stage, chance: Random) -> Certain:
    for _ in range(20):
        stage.execute(f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {_OURS}")
    return False


def stop_listener(stage: Stage, chance: Random) -> Certain:
    """Freeze the listener's backend: its connection stays up and says nothing."""
    return _freeze(stage, chance, listener_pid(stage))


def _freeze(stage: Stage, chance: Random, pid: int | None) -> Certain:
    if pid is None:
        return False
    seconds = chance.uniform(0.2, 2) * stage.noticed
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
    return seconds > 1.1 * stage.noticed + 1


def freeze_kernel(stage: Stage, chance: Random) -> Certain:
    """Stop the engine's process, as a closed laptop does."""
    os.kill(stage.kernel.pid, signal.SIGSTOP)
    try:
        time.sleep(stage.span(chance, 2, 8))
    finally:
        os.kill(stage.kernel.pid, signal.SIGCONT)
    return False


def kill_backend(stage: Stage, chance: Random) -> Certain:
    """Kill one backend, so that the server throws everybody out and recovers."""
    found = stage.execute(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND datname = 'soak' AND pid <> pg_backend_pid() ORDER BY pid"
    )
    os.kill(chance.choice(found)[0], signal.SIGKILL)
    time.sleep(0.2)
    stage.connect().close()
    return True


def restart_fast(stage: Stage, chance: Random) -> Certain:
    stage.server.stop()
    time.sleep(stage.span(chance, 0.5, 20))
    stage.start()
    return True


def restart_immediate(stage: Stage, chance: Random) -> Certain:
    stage.signal_server(signal.SIGQUIT)
    time.sleep(stage.span(chance, 0, 5))
    stage.start()
    return True


def kill_postmaster(stage: Stage, chance: Random) -> Certain:
    stage.signal_server(signal.SIGKILL)
    stage.start()
    return True
