"""Compare the values of a column with each other and with what somebody typed, by the column's type.

    numbers     exactly, whatever their digits; NaN equals itself and is greater than all others,
                as in PostgreSQL
    text        without regard to case, then with it; json, arrays and unknown types by their text
    times       as instants; a timestamp without zone that is compared with timestamptz is UTC
    interval    a month as 30 days, as PostgreSQL does

NULL compares with nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from typing import Any, Protocol, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .protocol import Operator
from .texts import arrow, decimals, texts

Mask: TypeAlias = "pa.ChunkedArray"  # of booleans; null counts as false
Values: TypeAlias = "pa.ChunkedArray"

_EXACT = Context(prec=2_000)
_LARGEST = 100  # decimal digits; no number of a column has more before the point
_OPERATIONS: dict[str, Callable[..., Mask]] = {
    "eq": pc.equal,
    "ne": pc.not_equal,
    "lt": pc.less,
    "le": pc.less_equal,
    "gt": pc.greater,
    "ge": pc.greater_equal,
}


class Comparable(Protocol):
    """A column whose values can be ordered; what cannot be read raises ValueError."""

    def sort_keys(self) -> list[Values]:
        """Give columns that sort ascending as this one does, the first counting most."""

    def compare(self, op: Operator, typed: str) -> Mask:
        """Compare each value with a text as typed, by eq, ne, lt, le, gt or ge."""

    def among(self, typed: Sequence[str]) -> Mask:
        """Tell whether each value is one of several."""


def comparable(column: pd.Series[Any], type_name: str) -> Comparable:
    """Say how values of a column compare; `type_name` is PostgreSQL's."""
    data = arrow(column)
    if data is None:
        return _of_objects(column)
    if pa.types.is_floating(data.type):
        return Floats(data)
    if pa.types.is_integer(data.type) or pa.types.is_decimal(data.type):
        return Numbers(data)
    if pa.types.is_boolean(data.type):
        return Booleans(data)
    if pa.types.is_temporal(data.type) and not pa.types.is_interval(data.type):
        return Times(data)
    if type_name in _MEASURES and pa.types.is_string(data.type):
        return Measures(data, _MEASURES[type_name])
    return Words(texts(column))


def _of_objects(column: pd.Series[Any]) -> Comparable:
    written = decimals(column)
    if written is None:
        return Words(texts(column))
    try:
        return Numbers(_parsed(written))
    except pa.ArrowInvalid:  # NaN, infinity, or too many digits
        return Decimals([None if text is None else Decimal(text) for text in written.to_pylist()])


def _parsed(written: pa.ChunkedArray) -> Values:
    """Read decimals, of as many digits on either side of the point as any of them has.

    Raises ArrowInvalid for NaN, infinity and more than 76 digits. The digits are counted first:
    Arrow 26 reads a number that is too long for its type as another one.
    """
    length = pc.binary_length(written)
    point = pc.find_substring(written, ".")
    before = pc.if_else(pc.less(point, 0), length, point)
    scale = max(0, (pc.max(pc.subtract(length, before)).as_py() or 0) - 1)
    digits = (pc.max(before).as_py() or 0) + scale  # a sign counts as one
    if digits > 76:
        raise pa.ArrowInvalid("too many digits")
    return written.cast(pa.decimal128(38, scale) if digits <= 38 else pa.decimal256(76, scale))


class Numbers:
    """Compare whole numbers and decimals."""

    def __init__(self, data: Values) -> None:
        self.data = data

    def sort_keys(self) -> list[Values]:
        """Give the numbers."""
        return [self.data]

    def compare(self, op: Operator, typed: str) -> Mask:
        """Compare with any number, whether the column could hold it or not."""
        scaled, is_exact = self._scaled(self._read(typed))
        if op in ("eq", "ne") and not is_exact:
            return _always(self.data, op == "ne")
        if not is_exact:
            op = "le" if op in ("lt", "le") else "gt"  # `scaled` is the next smaller one
        number = self._number(scaled)
        if number is None:
            greater = scaled < 0  # than it is every number that the column can hold
            return _always(
                self.data, op == "ne" or op in (("gt", "ge") if greater else ("lt", "le"))
            )
        return _OPERATIONS[op](self.data, number)

    def among(self, typed: Sequence[str]) -> Mask:
        """Look for numbers that the column could hold."""
        read = [self._scaled(self._read(one)) for one in typed]
        numbers = [self._number(scaled) for scaled, is_exact in read if is_exact]
        found = [one.as_py() for one in numbers if one is not None]
        return pc.is_in(self.data, value_set=pa.array(found, self.data.type))

    def _read(self, typed: str) -> Decimal:
        return _decimal(typed)

    def _scaled(self, number: Decimal) -> tuple[int, bool]:
        """Give the greatest number not above it, in units of the last digit, and whether it is it."""
        scale = self.data.type.scale if pa.types.is_decimal(self.data.type) else 0
        if number.is_nan():
            return 10**_LARGEST, False
        if number.is_infinite() or number.adjusted() > _LARGEST:
            return (-1 if number < 0 else 1) * 10**_LARGEST, False
        if number and number.adjusted() < -_LARGEST:
            return -1 if number < 0 else 0, False
        scaled = number.scaleb(scale, _EXACT)
        floor = scaled.to_integral_value(ROUND_FLOOR, _EXACT)
        return int(floor), floor == scaled

    def _number(self, scaled: int) -> pa.Scalar | None:
        """Make a value of the column's type; None when it is out of its range."""
        kind = self.data.type
        try:
            if pa.types.is_decimal(kind):
                return pa.scalar(Decimal(scaled).scaleb(-kind.scale, _EXACT), kind)
            return pa.scalar(scaled, kind)
        except (pa.ArrowInvalid, OverflowError):
            return None


class Measures(Numbers):
    """Compare what comes as text and stands for a number, such as an interval."""

    def __init__(self, data: Values, measure: Callable[[str], int]) -> None:
        self._measure = measure
        encoded = data.combine_chunks().dictionary_encode()
        distinct = pa.array([measure(text) for text in encoded.dictionary.to_pylist()], pa.int64())
        super().__init__(pa.chunked_array([distinct.take(encoded.indices)]))

    def _read(self, typed: str) -> Decimal:
        return Decimal(self._measure(typed))


class Floats:
    """Compare floating-point numbers."""

    def __init__(self, data: Values) -> None:
        self.data = data

    def sort_keys(self) -> list[Values]:
        """Give the numbers, behind whether they are NaN where any is."""
        is_nan = pc.is_nan(self.data)
        return [is_nan.cast(pa.int8()), self.data] if pc.any(is_nan).as_py() else [self.data]

    def compare(self, op: Operator, typed: str) -> Mask:
        """Compare with a number, NaN being the greatest."""
        number = pa.scalar(float(_decimal(typed)), self.data.type)
        is_nan = pc.is_nan(self.data)
        if number.as_py() != number.as_py():
            if op in ("le", "gt"):
                return _always(self.data, op == "le")
            return is_nan if op in ("eq", "ge") else pc.invert(is_nan)
        found = _OPERATIONS[op](self.data, number)
        return pc.or_(found, is_nan) if op in ("gt", "ge") else found

    def among(self, typed: Sequence[str]) -> Mask:
        """Look for numbers."""
        return _any([self.compare("eq", one) for one in typed], self.data)


class Decimals:
    """Compare Decimal objects among which there is a NaN or an infinity."""

    def __init__(self, values: Sequence[Decimal | None]) -> None:
        self._values = values

    def sort_keys(self) -> list[Values]:
        """Give the rank of each number."""
        distinct = {_rank(value) for value in self._values if value is not None}
        ranks = {rank: place for place, rank in enumerate(sorted(distinct))}
        placed = [None if value is None else ranks[_rank(value)] for value in self._values]
        return [pa.chunked_array([pa.array(placed, pa.int64())])]

    def compare(self, op: Operator, typed: str) -> Mask:
        """Compare one by one."""
        rank = _rank(_decimal(typed))
        signs = (None if v is None else _sign(_rank(v), rank) for v in self._values)
        return _OPERATIONS[op](pa.chunked_array([pa.array(signs, pa.int8())]), 0)

    def among(self, typed: Sequence[str]) -> Mask:
        """Look each one up."""
        wanted = {_rank(_decimal(one)) for one in typed}
        found = [value is not None and _rank(value) in wanted for value in self._values]
        return pa.chunked_array([pa.array(found, pa.bool_())])


class Booleans:
    """Compare false with true, which is greater."""

    def __init__(self, data: Values) -> None:
        self.data = data.cast(pa.int8())

    def sort_keys(self) -> list[Values]:
        """Give 0 and 1."""
        return [self.data]

    def compare(self, op: Operator, typed: str) -> Mask:
        """Compare with true or false, in any of PostgreSQL's spellings."""
        return _OPERATIONS[op](self.data, pa.scalar(_boolean(typed), pa.int8()))

    def among(self, typed: Sequence[str]) -> Mask:
        """Look for true and false."""
        return _any([self.compare("eq", one) for one in typed], self.data)


class Times:
    """Compare dates, times of day and instants."""

    def __init__(self, data: Values) -> None:
        self.data = data

    def sort_keys(self) -> list[Values]:
        """Give the times."""
        return [self.data]

    def compare(self, op: Operator, typed: str) -> Mask:
        """Compare with a time in ISO 8601."""
        return _OPERATIONS[op](self.data, self._read(typed))

    def among(self, typed: Sequence[str]) -> Mask:
        """Look for times."""
        wanted = pa.array([self._read(one).as_py() for one in typed], self.data.type)
        return pc.is_in(self.data, value_set=wanted)

    def _read(self, typed: str) -> pa.Scalar:
        kind, typed = self.data.type, typed.strip()
        try:
            if pa.types.is_date(kind):
                return pa.scalar(dt.date.fromisoformat(typed), kind)
            if pa.types.is_time(kind):
                return pa.scalar(dt.time.fromisoformat(typed), kind)
            instant = dt.datetime.fromisoformat(typed)
        except ValueError:
            raise ValueError(f"'{typed}' is no date or time such as 2026-01-31 23:59") from None
        if kind.tz is None:
            return pa.scalar(instant.replace(tzinfo=None), kind)
        return pa.scalar(instant.replace(tzinfo=instant.tzinfo or dt.UTC), kind)


class Words:
    """Compare text."""

    def __init__(self, data: Values) -> None:
        self.data = data

    def sort_keys(self) -> list[Values]:
        """Give the text without case, then as it is."""
        return [pc.utf8_lower(self.data), self.data]

    def compare(self, op: Operator, typed: str) -> Mask:
        """Compare for equality as it is, for order as it sorts."""
        if op in ("eq", "ne"):
            return _OPERATIONS[op](self.data, typed)
        lower, small = pc.utf8_lower(self.data), typed.lower()
        same = pc.and_(pc.equal(lower, small), _OPERATIONS[op](self.data, typed))
        return pc.or_(_OPERATIONS[op[0] + "t"](lower, small), same)

    def among(self, typed: Sequence[str]) -> Mask:
        """Look for text as it is."""
        return pc.is_in(self.data, value_set=pa.array(typed, pa.string()))


def _always(data: Values, answer: bool) -> Mask:
    """Answer the same for every value, and nothing for NULL."""
    there = data.is_valid()
    return there if answer else pc.and_(there, False)


def _any(masks: Sequence[Mask], data: Values) -> Mask:
    found = _always(data, False)
    for mask in masks:
        found = pc.or_(found, mask)
    return found


def _decimal(typed: str) -> Decimal:
    try:
        return Decimal(typed.strip())
    except InvalidOperation:
        raise ValueError(f"'{typed}' is no number") from None


def _rank(value: Decimal) -> tuple[bool, Decimal]:
    return (True, Decimal(0)) if value.is_nan() else (False, value)


def _sign(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def _boolean(typed: str) -> int:
    word = typed.strip().lower()
    if word in ("t", "true", "y", "yes", "on", "1"):
        return 1
    if word in ("f", "false", "n", "no", "off", "0"):
        return 0
    raise ValueError(f"'{typed}' is neither true nor false")


_UNITS = {
    "year": 360 * 86_400,
    "mon": 30 * 86_400,
    "week": 7 * 86_400,
    "day": 86_400,
    "hour": 3_600,
    "min": 60,
    "sec": 1,
}
_AMOUNT = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(year|mon|week|day|hour|min|sec)[a-z]*\s*")
_CLOCK = re.compile(r"([+-]?)(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?")


def _microseconds(text: str) -> int:
    """Measure an interval as PostgreSQL writes it."""
    seconds, position = Decimal(0), 0
    rest = text.strip().lower()
    while found := _AMOUNT.match(rest, position):
        seconds += Decimal(found[1]) * _UNITS[found[2]]
        position = found.end()
    if clock := _CLOCK.fullmatch(rest, position):
        size = Decimal(clock[2]) * 3_600 + Decimal(clock[3]) * 60 + Decimal(clock[4] or 0)
        seconds += -size if clock[1] == "-" else size
    elif not position or position < len(rest):
        raise ValueError(f"'{text}' is no interval such as 1 day 02:30:00")
    return int(seconds * 10**6)


def _cents(text: str) -> int:
    """Measure an amount of money, whose digits behind the point are those of its locale."""
    digits = re.sub(r"[^0-9]", "", text)
    if not digits:
        raise ValueError(f"'{text}' is no amount of money")
    cents = int(digits) * (1 if re.search(r"[.,]\d\d\D*$", text) else 100)
    return -cents if re.search(r"[-(]", text) else cents


_MEASURES = {"interval": _microseconds, "money": _cents}
