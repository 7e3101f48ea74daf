"""Read how a chart is to be drawn: everything is checked here, before there is a result."""

from __future__ import annotations

import datetime as dt
import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import pandas as pd

from ..errors import ConfigurationError

Kind = Literal["line", "area", "bar", "scatter"]
Mode = Literal["replace", "append"]

KINDS = (*get_args(Kind), "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Hold what somebody asked for."""

    kind: Kind | None  # None: by the columns' types
    x: str | None  # None: chosen
    y: tuple[str, ...] | None  # None: chosen
    by: str | None  # its values make series
    window: float | None  # seconds, or units of a numeric x
    timed: bool  # the window was given as a time
    mode: Mode
    log: bool = False  # the axis of y


def read(kind: str, x: Any, y: Any, by: Any, window: Any, mode: str, log: bool = False) -> Options:
    """Check what somebody asked for; raises ConfigurationError."""
    if kind not in KINDS:
        raise ConfigurationError(f"kind={kind!r}: use {', '.join(map(repr, KINDS))}")
    if mode not in get_args(Mode):
        raise ConfigurationError(f"mode={mode!r}: use 'replace' or 'append'")
    if not isinstance(log, bool):
        raise ConfigurationError(f"log={log!r}: use True or False")
    width, timed = _window(window)
    if mode == "append" and width is None:
        raise ConfigurationError(
            "mode='append' keeps points while they are in the window: give one"
        )
    return Options(
        kind=None if kind == "auto" else cast(Kind, kind),
        x=_name("x", x),
        y=_names(y),
        by=_name("by", by),
        window=width,
        timed=timed,
        mode=cast(Mode, mode),
        log=log,
    )


def _name(which: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{which}={value!r}: give the name of a column")
    return value


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Iterable):
        raise ConfigurationError(f"y={value!r}: give the name of a column, or a list of names")
    chosen = tuple(dict.fromkeys(names))
    if not chosen or not all(isinstance(name, str) for name in chosen):
        raise ConfigurationError(f"y={value!r}: give the name of a column, or a list of names")
    return chosen


def _window(value: Any) -> tuple[float | None, bool]:
    """Give a window's width, and whether it is certainly one of time."""
    if value is None:
        return None, False
    timed = isinstance(value, (str, dt.timedelta, np.timedelta64))
    try:
        width = pd.Timedelta(value).total_seconds() if timed else _number(value)
    except (ValueError, TypeError, OverflowError):
        raise ConfigurationError(
            f"window={value!r}: give seconds, a timedelta, text such as '5min', or a width of x"
        ) from None
    if not (math.isfinite(width) and width > 0):
        raise ConfigurationError(f"window={value!r}: it must be greater than nothing")
    return width, timed


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError
    return float(value)
