"""A job queue: work comes in rushes, workers take it, mail first, and finish it or fail."""

from __future__ import annotations

import enum
import math
import random
import time

import psycopg

from .world import World

QUEUES = ("mail", "mail", "invoices", "thumbnails", "thumbnails", "thumbnails")
ERRORS = ("timed out after 30 s", "connection reset by peer", "out of memory")
WORKERS = 12
MOST = 200  # jobs that wait
ATTEMPTS = 2  # after which a job has failed for good
RUSH = 180.0  # seconds from one rush of new jobs to the next
BEGAN = time.monotonic()

ADD = "INSERT INTO operations.jobs (queue) VALUES (%(queue)s)"

TAKE = """
UPDATE operations.jobs
SET
    state = 'running',
    attempts = attempts + 1,
    started_at = clock_timestamp()
WHERE id = (
    SELECT id FROM operations.jobs
    WHERE state = 'waiting'
    ORDER BY queue <> 'mail', id LIMIT 1 FOR UPDATE SKIP LOCKED
)
"""

FINISH = """
UPDATE operations.jobs
SET
    state = 'done',
    error = NULL,
    ended_at = clock_timestamp()
WHERE id = (SELECT id FROM operations.jobs WHERE state = 'running' ORDER BY started_at LIMIT 1)
"""

FAIL = """
UPDATE operations.jobs
SET
    state = CASE WHEN attempts < %(attempts)s THEN 'waiting' ELSE 'failed' END,
    error = %(error)s,
    ended_at = CASE WHEN attempts < %(attempts)s THEN NULL ELSE clock_timestamp() END
WHERE id = (SELECT id FROM operations.jobs WHERE state = 'running' ORDER BY started_at LIMIT 1)
"""

# So that the table stays at some thousand rows.
FORGET = "DELETE FROM operations.jobs WHERE ended_at < now() - interval '12 minutes'"

COUNT = """
SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'running')
FROM operations.jobs
WHERE state IN ('waiting', 'running')
"""


class Action(enum.Enum):
    """What happens next in the queue."""

    ADD = ADD
    TAKE = TAKE
    FINISH = FINISH
    FAIL = FAIL
    FORGET = FORGET


def choose(waiting: int, running: int, rush: float, dice: random.Random) -> Action:
    """Choose what happens next; in a `rush`, from 0 to 1, more is added than can be done."""
    drawn = dice.random()
    if drawn < 0.01:
        return Action.FORGET
    if drawn < 0.18 + 0.24 * rush and waiting < MOST:
        return Action.ADD
    if waiting and running < WORKERS and (not running or dice.random() < 0.5):
        return Action.TAKE
    if running:
        return Action.FAIL if dice.random() < 0.15 else Action.FINISH
    return Action.ADD


def step(connection: psycopg.Connection, dice: random.Random) -> Action:
    """Do one thing, in a transaction of its own."""
    waiting, running = connection.execute(COUNT).fetchone() or (0, 0)
    rush = (1 + math.sin(2 * math.pi * (time.monotonic() - BEGAN) / RUSH)) / 2
    action = choose(waiting, running, rush, dice)
    values = {
        "queue": dice.choice(QUEUES),
        "error": dice.choice(ERRORS),
        "attempts": ATTEMPTS,
    }
    connection.execute(action.value, values)
    return action


OPERATIONS = World(
    name="operations",
    mark="jobs",
    step=step,
    rate=20.0,
    regular=False,
    title="the job queue",
    filling="Filling the queue's past with ten minutes of jobs …",
    starting="Letting workers in: about {rate} changes a second …",
)
