"""A shop whose customers order, pay, receive and cancel, and whose stock runs low and is filled up."""

from __future__ import annotations

import enum
import random

import psycopg
from psycopg.types.json import Jsonb

from .world import World

# Open orders settle at about three times this: an order takes three steps to be delivered.
BALANCE = 10
NEXT = {"pending": "paid", "paid": "shipped", "shipped": "delivered"}

PLACE = """
WITH placed AS (
    INSERT INTO shop.orders (customer_id)
    SELECT id FROM shop.customers ORDER BY random() LIMIT 1
    RETURNING id
), chosen AS (
    SELECT id, price, 1 + floor(random() ^ 3 * 5)::integer AS quantity
    FROM shop.products ORDER BY random() * id LIMIT %(lines)s
), sold AS (
    UPDATE shop.products
    SET stock = greatest(stock - quantity, 0)
    FROM chosen
    WHERE chosen.id = products.id
)
INSERT INTO shop.order_items (order_id, line, product_id, quantity, price)
SELECT placed.id, row_number() OVER (), chosen.id, quantity, price
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

RESTOCK = """
UPDATE shop.products
SET stock = stock + 60 + floor(random() * 60)::integer
WHERE id = (
    SELECT id FROM shop.products
    WHERE stock < reorder_below
    ORDER BY random() LIMIT 1
)
"""

# So that a demo left alone for a month is as quick as on its first day.
ARCHIVE = "DELETE FROM shop.orders WHERE placed_at < now() - interval '8 days'"


class Action(enum.Enum):
    """What happens next in the shop."""

    PLACE = PLACE
    ADVANCE = ADVANCE
    CANCEL = CANCEL
    RESTOCK = RESTOCK
    ARCHIVE = ARCHIVE


def choose(open_orders: int, dice: random.Random) -> Action:
    """Choose what happens next, the rarer a new order the more are open."""
    if dice.random() < BALANCE / (BALANCE + open_orders):
        return Action.PLACE
    drawn = dice.random()
    if drawn < 0.002:
        return Action.ARCHIVE
    if drawn < 0.03:
        return Action.RESTOCK
    return Action.CANCEL if drawn < 0.08 else Action.ADVANCE


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


SHOP = World(
    name="shop",
    mark="order_items",
    step=step,
    rate=4.0,
    regular=False,
    title="the shop",
    filling="Filling the shop with a week of orders …",
    starting="Letting customers in: about {rate} changes a second …",
)
