"""A magic's line is read without asking for quotes, and never repeated in a message."""

from __future__ import annotations

import pytest

from pgrt_jupyter.errors import UsageError
from pgrt_jupyter.magic_options import PGRT, SUBSCRIBE, TEND, read


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        ('{"orders": {"status": "pending"}}', '{"orders": {"status": "pending"}}'),
        ("\"{'orders': {'status': {'a','b'}}}\"", "{'orders': {'status': {'a','b'}}}"),
        (r'"{\"a\": 1}"', '{"a": 1}'),
        ("my_filter", "my_filter"),
        (
            "lambda connection, df, change: len(df) > 3",
            "lambda connection, df, change: len(df) > 3",
        ),
        ("[{'a': '--throttle 5'}, x[1]]", "[{'a': '--throttle 5'}, x[1]]"),
        ("'a' + 'b'", "'a' + 'b'"),
    ],
)
@pytest.mark.parametrize("form", ["n --refresh {} --throttle 100", "n --throttle=100 --refresh={}"])
def test_expression(value: str, read_as: str, form: str) -> None:
    """An expression goes to the next option, with quotes around it or without."""
    line = read(form.format(value), SUBSCRIBE)
    assert line.given == {"refresh": read_as, "throttle": "100"}
    assert line.words == ("n",)


def test_words_and_numbers() -> None:
    """A number is one word, so the name may also come last."""
    line = read("--throttle 0 --quiet pending", SUBSCRIBE)
    assert line.words == ("pending",)
    assert line.number("throttle") == 0
    assert line.number("height") is None
    assert "quiet" in line.given


@pytest.mark.parametrize("text", ["host=a dbname=b", "'host=a dbname=b'", " host=a   dbname=b "])
def test_text(text: str) -> None:
    """A connection string may be in quotes; quotes inside it stay."""
    assert read(text, PGRT["connect"]).text == "host=a dbname=b"
    line = read("host=a options='-c b=c' --query service=d user=e --embedded", PGRT["connect"])
    assert line.text == "host=a options='-c b=c'"
    assert line.given == {"query": "service=d user=e", "embedded": ""}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("n --thottle 5", "Unknown option --thottle: did you mean --throttle?"),
        ("n --xyzzy=secret", "Unknown option --xyzzy: there are: --throttle, --max-age,"),
        ("n --throttle", "--throttle needs a value."),
        ("n --throttle --quiet", "--throttle needs a value."),
        ("n --throttle secret", "--throttle takes a whole number."),
        ("n --throttle -1", "--throttle takes a whole number."),
        ("n --quiet=secret", "--quiet takes no value."),
        ("n --key 'secret", "A quote is not closed."),
        ("n --refresh {secret", "A bracket is not closed."),
    ],
)
def test_refusal(line: str, said: str) -> None:
    """What is wrong is said in one line, without the value."""
    with pytest.raises(UsageError) as caught:
        read(line, SUBSCRIBE)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_tending() -> None:
    """The verbs of %livequery take names."""
    assert read("--stop a, b", TEND).given == {"stop": "a, b"}
