"""Say what a query's parameters follow: widgets, traits, or nothing but a value.

`following` keeps them at those values.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import traitlets

from .engine.interrupts import sheltered
from .engine.statement import parameter_names
from .errors import ConfigurationError

if TYPE_CHECKING:
    from .following import Following


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Name the trait that a parameter follows."""

    owner: traitlets.HasTraits
    name: str

    @property
    def value(self) -> Any:
        """Give its value now, as one that does not change any more."""
        value = getattr(self.owner, self.name)
        return copy.copy(value) if isinstance(value, (list, dict, set)) else value


def source(given: Any) -> Source | None:
    """Read what a parameter is bound to; None for a plain value. Raises ConfigurationError."""
    if isinstance(given, Source):
        return given
    if isinstance(given, traitlets.HasTraits):
        owner, name = given, "value"
    elif isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], traitlets.HasTraits):
        owner, name = given
    elif callable(given):
        raise ConfigurationError(
            "A parameter follows a widget or another trait, or has a value; it cannot follow a function.",
            hint="set a trait from it, and bind the parameter to that.",
        )
    else:
        return None
    if not isinstance(name, str) or not owner.has_trait(name):
        raise ConfigurationError(
            f"{type(owner).__name__} has no trait {name!r} to follow.",
            hint="give a widget, which is followed by its value, or a pair (object, 'trait').",
        )
    return Source(owner, name)


def split(params: Any, names: Sequence[str]) -> tuple[Any, dict[str, Source]]:
    """Tell the values of parameters from the traits that those of these names are to follow.

    Raises ConfigurationError.
    """
    if isinstance(params, Mapping):
        found = {name: source(value) for name, value in params.items() if _is_trait(value)}
        followed = {name: one for name, one in found.items() if one is not None}
        values = {**params, **{name: one.value for name, one in followed.items()}}
        return values, {name: one for name, one in followed.items() if name in names}
    if isinstance(params, Sequence) and any(map(_is_trait, params)):
        raise ConfigurationError(
            "Only :name parameters follow a widget.", hint="write :name in place of $1, $2, …"
        )
    return params, {}


def check(names: Iterable[str], sql: str) -> None:
    """Refuse names that are no parameters of a query; raises ConfigurationError."""
    known = parameter_names(sql)
    missing = [name for name in names if name not in known]
    if missing and not known:
        raise ConfigurationError(
            "The query has no :name parameters to bind.",
            hint="write :name where a value is to go; $1, $2, … cannot be bound.",
        )
    if missing:
        raise ConfigurationError(
            f"The query has no parameter :{missing[0]}.",
            hint=f"it has {', '.join(f':{name}' for name in known)}.",
        )


class Binding:
    """Hold parameters to what they follow, until it is closed; made by `LiveQuery.bind`."""

    def __init__(self, following: Following) -> None:
        self._following = following

    @property
    def names(self) -> tuple[str, ...]:
        """Give the parameters that follow because of this; one that was bound anew is not among them."""
        return self._following.held_by(self)

    def close(self) -> None:
        """Let the parameters follow no more; the query goes on with the values that it shows."""
        with sheltered():
            self._following.end(self.names)

    def __repr__(self) -> str:
        return f"Binding({', '.join(self.names) or 'closed'})"


@dataclass(slots=True, eq=False)
class Held:
    """Hold one parameter to its trait; what a plain value was given for has none."""

    following: Following
    binding: Binding
    parameter: str
    source: Source | None

    def __call__(self, change: object) -> None:
        """Take a new value; on the thread that set it."""
        with sheltered():
            self.following.want(self)

    def follows(self, source: Source) -> bool:
        """Say whether it is just that trait."""
        mine = self.source
        return mine is not None and mine.owner is source.owner and mine.name == source.name

    def release(self) -> None:
        """Let go of the trait."""
        if self.source is not None:
            self.source.owner.unobserve(self, self.source.name)


def _is_trait(value: Any) -> bool:
    first = value[0] if isinstance(value, tuple) and len(value) == 2 else value
    return isinstance(first, traitlets.HasTraits)
