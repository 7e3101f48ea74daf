"""Let customers of the shop order, pay, receive and cancel, on a connection of their own."""

from __future__ import annotations

import argparse
import enum
import os
import random
import time

import psycopg
from psycopg.types.json import Jsonb

# Open orders settle at about three times this: an order takes three steps to be delivered.
BALANCE = 10
NEXT = {"pending": "paid", "paid": "shipped", "shipped": "delivered"}

PLACE = """
WITH placed AS (
    INSERT INTO shop.orders (customer_id)
    SELECT id FROM shop.customers ORDER BY random() LIMIT 1
    RETURNING id
), chosen AS (
    SELECT id, price FROM shop.products ORDER BY random() * id LIMIT %(lines)s
)
INSERT INTO shop.order_items (order_id, line, product_id, quantity, price)
SELECT placed.id, row_number() OVER (), chosen.id, 1 + floor(random() ^ 3 * 5), chosen.price
FROM placed, chosen
"""

ADVANCE = """
UPDATE shop.orders
SET
    status = %(next)s::jsonb ->> status,
    changed_at = now()
WHERE id = (
    SELECT id FROM shop.orders
    WHERE status IN ('pending', 'paid', 'shipped')
    ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED
)
"""

CANCEL = """
UPDATE shop.orders
SET
    status = 'cancelled',
    changed_at = now()
WHERE id = (
    SELECT id FROM shop.orders
    WHERE status IN ('pending', 'paid')
    ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED
)
"""

# So that a demo left alone for a month is as quick as on its first day.
ARCHIVE = "DELETE FROM shop.orders WHERE placed_at < now() - interval '8 days'"


class Action(enum.Enum):
    """What happens next in the shop."""

    PLACE = PLACE
    ADVANCE = ADVANCE
    CANCEL = CANCEL
    ARCHIVE = ARCHIVE


def choose(open_orders: int, dice: random.Random) -> Action:
    """Choose what happens next, the rarer a new order the more are open."""
    if dice.random() < BALANCE / (BALANCE + open_orders):
        return Action.PLACE
    drawn = dice.random()
    if drawn < 0.002:
        return Action.ARCHIVE
    return Action.CANCEL if drawn < 0.05 else Action.ADVANCE


def step(connection: psycopg.Connection, dice: random.Random) -> Action:
    """Do one thing, in a transaction of its own."""
    row = connection.execute(
        "SELECT count(*) FROM shop.orders WHERE status IN ('pending', 'paid', 'shipped')"
    ).fetchone()
    action = choose(row[0] if row else 0, dice)
    values = {
        "lines": dice.randint(1, 4),
        "next": Jsonb(NEXT),
    }
    connection.execute(action.value, values)
    return action


def run(conninfo: str, rate: float) -> None:
    """Go on, `rate` times a second on average, until the server ends."""
    dice = random.Random()
    try:
        with psycopg.connect(conninfo, autocommit=True, application_name="shop") as connection:
            while True:
                step(connection, dice)
                time.sleep(dice.expovariate(rate))
    except (psycopg.OperationalError, KeyboardInterrupt):
        return  # the server's end is the shop's closing time


def main() -> None:
    """Run from the command line on the server `PGRT_DSN` names."""
    parser = argparse.ArgumentParser(prog="python -m pgrt_jupyter.demo.simulator")
    parser.add_argument("--rate", type=float, default=4.0, help="changes a second (%(default)s)")
    run(os.environ["PGRT_DSN"], parser.parse_args().rate)


if __name__ == "__main__":
    main()
