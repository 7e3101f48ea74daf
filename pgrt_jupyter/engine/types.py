"""Say what becomes of each PostgreSQL type: a table of oids, looked up by `kind_of`.

A kind is decided by the type alone, never by the rows, so that no rows and many rows give the
same dtype. Types that are not listed keep the server's text. `TYPES.md` is this table for users.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa


class Form(enum.Enum):
    """How the server's text of a type becomes values."""

    PLAIN = "plain"  # Arrow's CSV reader understands it
    DECIMAL = "decimal"  # numeric of any scale: decimal.Decimal objects
    HEX = "hex"  # bytea in hex
    LIST = "list"  # an array in braces: nested Python lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Describe the values of one column."""

    form: Form
    arrow: pa.DataType | None  # the Arrow type of ordinary values; None for Python objects
    element: Kind | None = None  # of a list


TEXT = Kind(form=Form.PLAIN, arrow=pa.string())
DECIMAL = Kind(form=Form.DECIMAL, arrow=None)
NUMERIC_OID = 1700
MAX_PRECISION = 38  # of decimal128, the widest decimal that Arrow reads from CSV

_SCALARS = {
    16: Kind(form=Form.PLAIN, arrow=pa.bool_()),
    17: Kind(form=Form.HEX, arrow=pa.binary()),
    20: Kind(form=Form.PLAIN, arrow=pa.int64()),
    21: Kind(form=Form.PLAIN, arrow=pa.int16()),
    23: Kind(form=Form.PLAIN, arrow=pa.int32()),
    26: Kind(form=Form.PLAIN, arrow=pa.int64()),  # oid, unsigned 32 bits
    700: Kind(form=Form.PLAIN, arrow=pa.float32()),
    701: Kind(form=Form.PLAIN, arrow=pa.float64()),
    1082: Kind(form=Form.PLAIN, arrow=pa.date32()),
    1083: Kind(form=Form.PLAIN, arrow=pa.time64("us")),
    1114: Kind(form=Form.PLAIN, arrow=pa.timestamp("us")),
    1184: Kind(form=Form.PLAIN, arrow=pa.timestamp("us", tz="UTC")),
}

# Array type: element type. Types whose elements are separated by something else than a comma
# (box) and arrays of user-defined types are not here and stay text.
_ARRAYS = {
    1000: 16,  # boolean
    1001: 17,  # bytea
    1002: 18,  # "char"
    1003: 19,  # name
    1005: 21,  # smallint
    1007: 23,  # integer
    1009: 25,  # text
    1014: 1042,  # character
    1015: 1043,  # character varying
    1016: 20,  # bigint
    1021: 700,  # real
    1022: 701,  # double precision
    1028: 26,  # oid
    1040: 829,  # macaddr
    1041: 869,  # inet
    1115: 1114,  # timestamp
    1182: 1082,  # date
    1183: 1083,  # time
    1185: 1184,  # timestamptz
    1187: 1186,  # interval
    1231: 1700,  # numeric
    1270: 1266,  # timetz
    1561: 1560,  # bit
    1563: 1562,  # bit varying
    143: 142,  # xml
    199: 114,  # json
    2951: 2950,  # uuid
    3807: 3802,  # jsonb
    651: 650,  # cidr
    791: 790,  # money
}


@lru_cache(maxsize=1024)
def kind_of(type_oid: int, typmod: int = -1) -> Kind:
    """Look up the kind of a type; `typmod` is that of the column, -1 for none."""
    if type_oid in _ARRAYS:
        element = kind_of(_ARRAYS[type_oid], typmod)
        return Kind(form=Form.LIST, arrow=None, element=element)
    if type_oid == NUMERIC_OID:
        return _numeric(typmod)
    return _SCALARS.get(type_oid, TEXT)


def _numeric(typmod: int) -> Kind:
    """Choose decimal128 where precision and scale are declared and fit it.

    The layout of the typmod is that of `make_numeric_typmod` in PostgreSQL's numeric.c: since
    15 the scale is signed, in 11 bits, and may exceed the precision.
    """
    if typmod < 0:
        return DECIMAL
    precision = (typmod - 4) >> 16 & 0xFFFF
    scale = ((typmod - 4 & 0x7FF) ^ 0x400) - 0x400
    if scale < 0:
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    if precision > MAX_PRECISION:
        return DECIMAL
    return Kind(form=Form.PLAIN, arrow=pa.decimal128(precision, scale))
