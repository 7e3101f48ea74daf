"""Harm the network between the engine and the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from ..faults.proxy import Proxy
from .stage import Certain, Stage


def black_hole(stage: Stage, chance: Random) -> Certain:
    """Swallow everything on the way of what listens, or of what runs queries, or of both."""
    seconds = chance.uniform(0.2, 2) * stage.noticed
    holes = chance.choice([[stage.network], [stage.network, stage.query_network]])
    _during(holes, lambda hole: hole.black_hole(), seconds)
    return seconds > 1.1 * stage.noticed + 1


def black_hole_of_queries(stage: Stage, chance: Random) -> Certain:
    _during([stage.query_network], lambda hole: hole.black_hole(), stage.span(chance, 3, 12))
    return False


def deaf(stage: Stage, chance: Random) -> Certain:
    """Break every connection and leave new ones unanswered."""
    both = [stage.network, stage.query_network]

    def begin(hole: Proxy) -> None:
        hole.deaf()
        hole.reset()

    _during(both, begin, stage.span(chance, 1, 15))
    return True


def reset(stage: Stage, chance: Random) -> Certain:
    for _ in range(chance.choice([1, 1, 5])):
        stage.network.reset()
        stage.query_network.reset()
        time.sleep(0.05)
    return True


def sever(stage: Stage, chance: Random) -> Certain:
    _during(
        [stage.network, stage.query_network], lambda hole: hole.sever(), stage.span(chance, 1, 20)
    )
    return True


def cut_in_the_middle(stage: Stage, chance: Random) -> Certain:
    """Break each connection to the queries somewhere within a result."""
    hole = stage.query_network
    _during(
        [hole], lambda hole: hole.cut_after(chance.randint(1, 300_000)), stage.span(chance, 1, 5)
    )
    return False


def slow_network(stage: Stage, chance: Random) -> Certain:
    both = [stage.network, stage.query_network]
    seconds = chance.uniform(0.05, 0.4) * stage.scale
    _during(both, lambda hole: hole.delay(seconds, seconds / 2), stage.span(chance, 3, 15))
    return False


def _during(holes: list[Proxy], begin: Callable[[Proxy], None], seconds: float) -> None:
    try:
        for hole in holes:
            begin(hole)
        time.sleep(seconds)
    finally:
        for hole in holes:
            hole.heal()
