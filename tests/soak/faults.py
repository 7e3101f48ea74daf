"""Know the kinds of faults; each is a function of the stage and a source of chance.

A function returns when its cause has ended, and says whether an outage must have been noticed. What the
catalog or a lock holds back for longer is put right by the function itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import psycopg

from . import harm_network as network
from . import harm_processes as processes
from . import harm_tables as tables
from .stage import Certain, Stage


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe one kind."""

    inject: Callable[[Stage, Random], Certain]
    unannounced: bool = False  # only the audit finds it, so results may be older meanwhile

    @property
    def name(self) -> str:
        return self.inject.__name__


_ANNOUNCED = (
    processes.terminate_listener,
    processes.terminate_pool,
    processes.terminate_all,
    processes.cancel_queries,
    processes.stop_listener,
    processes.freeze_kernel,
    processes.kill_backend,
    processes.restart_fast,
    processes.restart_immediate,
    processes.kill_postmaster,
    tables.truncate,
    tables.lock_table,
    tables.hostile_flood,
    tables.replica_write,
    tables.add_and_drop_column,
    tables.change_type,
    tables.revoke_and_grant,
    network.black_hole,
    network.black_hole_of_queries,
    network.deaf,
    network.reset,
    network.sever,
    network.cut_in_the_middle,
    network.slow_network,
)
_UNANNOUNCED = (
    tables.drop_trigger,
    tables.drop_everything,
    tables.disable_triggers,
    tables.replace_table,
    tables.new_partition,
)
KINDS = {
    fault.name: fault
    for fault in (
        *map(Fault, _ANNOUNCED),
        *(Fault(function, unannounced=True) for function in _UNANNOUNCED),
    )
}


def inject(stage: Stage, fault: Fault, chance: Random) -> Certain:
    """Inject a fault; what cannot be had because tables are busy or the server is away is tried again."""
    for _ in range(5):
        try:
            return fault.inject(stage, chance)
        except psycopg.errors.DeadlockDetected:
            continue
        except psycopg.OperationalError:
            stage.connect().close()
    return False
