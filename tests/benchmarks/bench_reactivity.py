"""Rebuild the public reactivity benchmark: 50 live joins under 300 writes a second.

Tables students, assignments and scores; each live query shows the scores of one class. A second process
writes, and says in a table of its own when it committed what; the time is from there to the frame.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import psutil
import psycopg

import pgrt_jupyter as pgrt

CLASSES, ASSIGNMENTS, STUDENTS, SCORES = 200, 30, 680, 120_000
LIVE, SECONDS, WARM_UP = 50, 15.0, 5.0
RATE = 100  # inserts, updates and deletes each, a second
SCHEMA = f"""
CREATE TABLE students (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE assignments (id int PRIMARY KEY, class_id int NOT NULL, name text, value int);
CREATE TABLE scores (id bigint PRIMARY KEY, assignment_id int NOT NULL REFERENCES assignments,
                     student_id int NOT NULL REFERENCES students, score int NOT NULL);
INSERT INTO students SELECT i, 'student ' || i FROM generate_series(1, {STUDENTS}) AS i;
INSERT INTO assignments SELECT i, 1 + (i - 1) / {ASSIGNMENTS}, 'assignment ' || i, i % 100
  FROM generate_series(1, {CLASSES * ASSIGNMENTS}) AS i;
INSERT INTO scores SELECT i, 1 + i % {CLASSES * ASSIGNMENTS}, 1 + i % {STUDENTS}, i % 100
  FROM generate_series(1, {SCORES}) AS i;
CREATE INDEX ON assignments (class_id);
CREATE INDEX ON scores (assignment_id);
ANALYZE;
"""
QUERY = """
SELECT scores.id, students.name AS student, assignments.name, assignments.value, scores.score
FROM scores
JOIN assignments ON assignments.id = scores.assignment_id
JOIN students ON students.id = scores.student_id
WHERE assignments.class_id = $1
ORDER BY scores.id DESC
"""


def test_reactivity(durable: str, write_down: Callable[..., None]) -> None:
    """Time every write that a live query shows."""
    with psycopg.connect(durable, autocommit=True) as connection:
        connection.execute(SCHEMA)
    committed: Any = multiprocessing.Manager().dict()
    seen: dict[int, float] = {}
    with pgrt.Engine(durable, throttle_ms=50, deliver="thread", pool_size=4) as engine:
        for number in range(1, LIVE + 1):
            query = engine.sub(f"class {number}", QUERY, [number])
            query.observe(lambda change: _note(change["new"], seen), names="df")
        process = multiprocessing.get_context("spawn").Process(
            target=_write, args=(durable, committed)
        )
        process.start()
        memory = []
        while process.is_alive():
            process.join(1)
            memory.append(psutil.Process().memory_info().rss / 2**20)
    taken = sorted((seen[i] - at) * 1000 for i, at in dict(committed).items() if i in seen)
    assert len(taken) > RATE * SECONDS / 8
    p50, p95 = statistics.median(taken), taken[int(len(taken) * 0.95)]
    growth = memory[-1] - memory[int(WARM_UP)]
    rows = [
        "| 50 three-table joins, 300 writes/s | |",
        "|---|---|",
        f"| write to frame, p50 | {p50:.0f} ms |",
        f"| write to frame, p95 | {p95:.0f} ms |",
        f"| inserts measured | {len(taken):,} |",
        f"| memory after warm-up | {memory[int(WARM_UP)]:.0f} MB, then {growth:+.0f} MB |",
    ]
    write_down("reactivity", "\n".join(rows), {"p50": p50, "p95": p95, "memory": memory})


def _note(frame: Any, seen: dict[int, float]) -> None:
    """Note when a score was first seen; inserted ones have the largest numbers and come first."""
    now = time.time()
    for number in frame["id"].iloc[:40].tolist():
        if number > SCORES:
            seen.setdefault(number, now)


def _write(conninfo: str, committed: Any) -> None:
    """Insert, update and delete at a steady rate; note when inserts that are watched were committed."""
    chance, times, number = random.Random(1), {}, SCORES
    with psycopg.connect(conninfo, autocommit=True) as connection:
        begun = time.perf_counter()
        for turn in range(int(SECONDS * RATE)):
            number += 1
            assignment = chance.randint(1, CLASSES * ASSIGNMENTS)
            connection.execute(
                "INSERT INTO scores VALUES (%s, %s, %s, 50)",
                (number, assignment, chance.randint(1, STUDENTS)),
            )
            if assignment <= LIVE * ASSIGNMENTS and turn > WARM_UP * RATE:
                times[number] = time.time()
            old = chance.randint(1, SCORES)
            connection.execute("UPDATE scores SET score = score + 1 WHERE id = %s", (old,))
            connection.execute("DELETE FROM scores WHERE id = %s", (chance.randint(1, SCORES),))
            time.sleep(max(0.0, begun + (turn + 1) / RATE - time.perf_counter()))
    time.sleep(2)
    committed.update(times)
