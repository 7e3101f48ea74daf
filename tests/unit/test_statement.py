"""Parameters are taken out of a query, and everything else is left exactly as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.engine.statement import parameter_names, parse
from pgrt_jupyter.errors import ConfigurationError

LEFT_ALONE = [
    "SELECT 'a :name $1 ; b'",
    "SELECT 'it''s :name'",
    r"SELECT E'\' :name'",
    r"SELECT E'a\\' AS x",
    "SELECT e'it''s \\' :name'",
    'SELECT "a :name $1" FROM "x "" :y"',
    "SELECT $$ :name $1 ; $$",
    "SELECT $tag$ :name $$ $1 $tag$",
    "SELECT $ü$ :name $ü$",
    "SELECT 1 -- :name $1 ; '",
    "SELECT 1 -- :name\n, 2",
    "SELECT /* :name $1 ' */ 1",
    "SELECT /* a /* :name */ :b */ 1",
    "SELECT '1'::int, '2'::int[]",
    "SELECT f(a := 1)",
    "SELECT a[1:2], a[lower:upper], a[:], a[1:], a[:2]",
    "SELECT a[b[1]:c], a[f(1):d], a['1':b]",
    "SELECT a$1, b$c$d FROM t$2",
    "SELECT 5 % 2, a LIKE '%s', '%(x)s'",
    "SELECT $name FROM t",
    "SELECT a ? 'b', a @> '{\"c\":1}'",
    "SELECT U&'d\\0061t:name'",
    "",
    "-- nothing :here",
]
UNTERMINATED = ["SELECT 'abc :x", 'SELECT "abc :x', "SELECT $$abc :x", "/* abc :x", "E'abc :x"]


@pytest.mark.parametrize("sql", LEFT_ALONE)
def test_what_is_no_parameter_is_left_alone(sql: str) -> None:
    """Quotes, comments, casts, slices and names with dollars hold no parameters."""
    assert parse(sql).text == sql
    assert parameter_names(sql) == ()


@pytest.mark.parametrize("sql", UNTERMINATED)
def test_unterminated_text_is_left_to_the_server(sql: str) -> None:
    """What is not closed reaches to the end of the text, and holds no parameter."""
    assert parse(sql).text == sql


@pytest.mark.parametrize(
    ("sql", "params", "text", "values"),
    [
        ("SELECT :a", {"a": 1}, "SELECT $1", (1,)),
        ("SELECT :a, :b, :a", {"a": 1, "b": 2}, "SELECT $1, $2, $1", (1, 2)),
        ("SELECT :a::int", {"a": "1"}, "SELECT $1::int", ("1",)),
        ("SELECT (:a)::int[1:2]", {"a": "x"}, "SELECT ($1)::int[1:2]", ("x",)),
        ("SELECT ARRAY[:a,:b]", {"a": 1, "b": 2}, "SELECT ARRAY[$1,$2]", (1, 2)),
        ("SELECT ARRAY[[:a],[:b]]", {"a": 1, "b": 2}, "SELECT ARRAY[[$1],[$2]]", (1, 2)),
        ("SELECT x BETWEEN :lo AND:hi", {"lo": 1, "hi": 2}, "SELECT x BETWEEN $1 AND$2", (1, 2)),
        ("SELECT x=:a/*:b*/", {"a": 1}, "SELECT x=$1/*:b*/", (1,)),
        ("SELECT :größe", {"größe": 1}, "SELECT $1", (1,)),
        ("SELECT a[:i]", {"i": 1}, "SELECT a[:i]", ()),
        ("SELECT $1, $2", [1, 2], "SELECT $1, $2", (1, 2)),
        ("SELECT $2, $1, $2", (1, 2), "SELECT $2, $1, $2", (1, 2)),
        ("SELECT $10", list(range(10)), "SELECT $10", tuple(range(10))),
        ("SELECT $1::text", ["a"], "SELECT $1::text", ("a",)),
        ("SELECT :a", {"a": None, "unused": 2}, "SELECT $1", (None,)),
    ],
)
def test_parameters_are_taken_out(sql: str, params: Any, text: str, values: Any) -> None:
    """Named and numbered parameters become numbers, with their values in order."""
    found = parse(sql, params)
    assert (found.text, found.values) == (text, values)


@pytest.mark.parametrize(
    ("sql", "params", "message"),
    [
        ("SELECT :a, :b", {"a": 1}, ":b"),
        ("SELECT :a", None, ":a"),
        ("SELECT $1", None, r"\$1"),
        ("SELECT $1, $2", [1], r"\$2"),
        ("SELECT $1", [1, 2], "2 parameter"),
        ("SELECT 1", [1], "1 parameter"),
        ("SELECT :a, $1", {"a": 1}, "not both"),
        ("SELECT $1", "x", "sequence"),
        ("SELECT $1", b"x", "sequence"),
        ("SELECT '\x00'", None, "NUL"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(sql: str, params: Any, message: str) -> None:
    """A parameter without a value, or a value without a parameter, is a clear error."""
    with pytest.raises(ConfigurationError, match=message):
        parse(sql, params)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 1;", "SELECT 1"),
        ("SELECT 1 ; ", "SELECT 1 "),
        ("SELECT 1; -- done", "SELECT 1"),
        ("SELECT 1; /* done */\n", "SELECT 1"),
        ("SELECT 1; SELECT 2", "SELECT 1; SELECT 2"),
        ("SELECT 1;;", "SELECT 1;"),
        ("SELECT ';'", "SELECT ';'"),
    ],
)
def test_one_closing_semicolon_is_dropped(sql: str, text: str) -> None:
    """The semicolon that ends the statement goes, any other stays for the server to refuse."""
    assert parse(sql).text == text


def test_a_colon_stays_text_when_values_come_by_number() -> None:
    """A sequence of values means that `:name` is none of our business."""
    assert parse("SELECT $1, :a", [1]).text == "SELECT $1, :a"


def test_literals_take_the_place_of_parameters() -> None:
    """The text to run holds each literal wherever its parameter stood."""
    statement = parse("SELECT :a, ':a', :b, :a", {"a": 1, "b": 2})
    assert statement.bound(["(1)", "(2)"]) == "SELECT (1), ':a', (2), (1)"


def test_parameter_names_are_listed_once_in_order() -> None:
    """The names a notebook has to provide come in order of appearance."""
    assert parameter_names("SELECT :b, :a, ':c', :b") == ("b", "a")


@pytest.mark.parametrize("what", ["x", "missing", "SELECT"])
def test_positions_point_into_the_users_text(what: str) -> None:
    """A position the server gives leads to the same place in what the user wrote."""
    sql = "SELECT :parameter, x, :parameter + missing"
    statement = parse(sql, {"parameter": 1})
    position = statement.text.index(what) + 1
    assert statement.original_position(position) == sql.index(what) + 1


def test_a_position_in_a_parameter_points_to_its_name() -> None:
    """A position within `$1` leads to the start of `:name`."""
    statement = parse("SELECT a = :name", {"name": 1})
    position = statement.text.index("$1") + 1
    assert statement.original_position(position) == statement.original.index(":name") + 1


def test_a_position_beyond_the_end_is_the_end() -> None:
    """A position behind the last character is clamped."""
    assert parse("SELECT").original_position(99) == len("SELECT")


@settings(deadline=None)
@given(st.text(alphabet="aeE'\"$:;-/*[],()\\ \n1_%ü", max_size=40))
def test_text_without_parameters_survives(sql: str) -> None:
    """Cutting into tokens and joining them again loses nothing but the closing semicolon."""
    try:
        statement = parse(sql, [])
    except ConfigurationError:
        return  # it holds $1
    assert sql.startswith(statement.text)
    assert sql[len(statement.text) :].lstrip()[:1] in ("", ";", "-", "/")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_quoted_text_is_left_alone(inside: str) -> None:
    """Whatever stands in a string literal, quoted identifier or comment holds no parameter."""
    inside = inside.replace("\x00", "")
    string = "'" + inside.replace("'", "''") + "'"
    name = '"' + inside.replace('"', '""') + '"'
    comment = "/*" + inside.replace("*/", "").replace("/*", "").rstrip("/*") + " */"
    sql = f"SELECT {string} AS {name} {comment} FROM t"
    assert parse(sql).text == sql
    assert parse(sql).values == ()


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=8))
def test_every_use_of_a_name_gets_the_same_number(names: list[str]) -> None:
    """Equal names share a number, and binding puts each value back in its places."""
    statement = parse(" , ".join(f":{name}" for name in names), {"a": "A", "b": "B", "c": "C"})
    assert statement.bound([str(value) for value in statement.values]) == " , ".join(
        name.upper() for name in names
    )
