"""Know the live queries of an engine: all of them, by what they ask, by the tables they watch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .group import Group
from .subscription import Spec, shared


class Roster:
    """Hold the groups; owned by the engine's loop."""

    def __init__(self) -> None:
        self.groups: set[Group] = set()
        self._by_spec: dict[tuple[Any, ...], Group] = {}
        self._by_member: dict[int, set[Group]] = {}
        self._members: dict[Group, tuple[int, ...]] = {}  # those that are in `_by_member`

    def add(self, group: Group) -> None:
        """Take in a group; from now on it is the one for its spec."""
        self.groups.add(group)
        self._by_spec[shared(group.spec)] = group

    def index(self, group: Group) -> None:
        """Note which tables a group watches now; those it watched before may have left their tree."""
        self._unindex(group)
        if group not in self.groups:
            return  # it ended while its tables were being looked up
        self._members[group] = tuple(group.watches)
        for member in self._members[group]:
            self._by_member.setdefault(member, set()).add(group)

    def remove(self, group: Group) -> None:
        """Forget a group."""
        self.groups.discard(group)
        self._unindex(group)
        if self._by_spec.get(shared(group.spec)) is group:
            del self._by_spec[shared(group.spec)]

    def to_share(self, spec: Spec) -> Group | None:
        """Find the group that asks the same and works."""
        group = self._by_spec.get(shared(spec))
        if group is None or group.closed or group.error is not None or group.snapshot is None:
            return None
        return group

    def watching(self, relation: int) -> Iterable[Group]:
        """List the groups that watch a table."""
        return self._by_member.get(relation, ())

    def _unindex(self, group: Group) -> None:
        for member in self._members.pop(group, ()):
            found = self._by_member[member]
            found.discard(group)
            if not found:
                del self._by_member[member]
