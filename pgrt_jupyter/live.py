"""Hold a live query's result as traits.

`LiveQuery` is not a widget: its traits are read straight from the newest state the engine told, so
`lq.df` is current at once, even inside a cell that blocks the kernel; only the notification of
observers waits for the thread they belong to. Results replace each other and are never mutated.

Longer than most files because everything users see of a query stands here with its docstring. What it shows
is made in `succession`, the tables and charts on it are owned by `displays`, bound parameters by `following`.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import traitlets

from .binding import Binding, Source
from .delivery import Delivery, Observer, show_error
from .displays import Displays
from .engine.group import Group
from .engine.interrupts import sheltered, whole
from .engine.loop import FORKED, EngineLoop
from .engine.model import Delta, Status
from .engine.subscription import Spec, State
from .errors import EngineNotRunning, PgrtError
from .following import Basis, Following
from .succession import Succession
from .updates import Updates
from .view import NOTIFIED, FromView, View
from .window import NOTHING, Shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .engine.outcomes import Kind
    from .link import Link
    from .plot.widget import LivePlot
    from .view import StatusName
    from .widget import LiveTable

ErrorHandler = Callable[[PgrtError, "LiveQuery | None"], Any]

_LOOK_SECONDS = 0.2  # how soon who waits notices an interrupt


class LiveQuery(traitlets.HasTraits):
    """A query whose result follows the database; made by `sub` or `%%livequery`, not by hand.

    Observers run on the kernel's main loop, in the context of the cell that registered them; without
    a kernel on the engine's delivery thread. They get the newest value, not every value.
    """

    df: FromView[pd.DataFrame] = FromView(
        "pandas.DataFrame in the query's order; replaced, never mutated"
    )
    status: FromView[StatusName] = FromView(
        "starting, live, stale, polling, paused, error or closed"
    )
    error: FromView[PgrtError | None] = FromView(
        "None, or the exception of the last failed run; the last good df stays"
    )
    delta: FromView[Delta | None] = FromView(
        "Delta of the last update; None without a key; worked out when read"
    )
    refreshed_at: FromView[datetime | None] = FromView(
        "aware datetime of the run that made df or found it unchanged"
    )
    refresh_count: FromView[int] = FromView("number of runs")
    version: FromView[int] = FromView("number of published results")
    key: FromView[tuple[str, ...]] = FromView(
        "tuple of the columns that identify a row; empty without one"
    )
    tables: FromView[Mapping[str, frozenset[str]]] = FromView(
        "{'schema.table': frozenset of columns} that are watched"
    )
    unwatched: FromView[tuple[str, ...]] = FromView(
        "tuple of what cannot be watched, by name; such a query polls"
    )
    sql: FromView[str] = FromView("the query's text")
    params: FromView[Any] = FromView("its parameters' values, for which df is the result")
    plan: FromView[str] = FromView(
        "in words: how the query is brought up to date, and why not better"
    )
    refresh_kind: FromView[Kind | None] = FromView(
        "of the last update: 'delta', only what changed was read, or 'full'"
    )
    refresh_kinds: FromView[Mapping[str, int]] = FromView("number of runs of each kind")
    name = traitlets.Unicode(read_only=True, help="the subscription's name")
    throttle_ms = traitlets.Int(min=0, help="at most one run per so many milliseconds; writable")

    def __init__(
        self, name: str, loop: EngineLoop, delivery: Delivery, error_handler: ErrorHandler
    ) -> None:
        self._succession = Succession()
        self._told: View | None = None  # what observers were notified of last
        self._pushed: View | None = None  # what tables show, and observers may be notified of
        self._news = threading.Condition()
        self._loop = loop
        self._delivery = delivery
        self._error_handler = error_handler
        self._subscription: _Subscription | None = None
        self._group: Group | None = None
        self._paused = False
        self._wakers: weakref.WeakSet[Updates] = weakref.WeakSet()
        self._displays = Displays(self)
        self._following = Following(self, loop)
        self._on_close: Callable[[LiveQuery], object] = lambda query: None
        super().__init__()
        self.set_trait("name", name)

    # -- for users

    @whole
    def refresh(self, timeout: float = 30) -> pd.DataFrame:
        """Run the query now, wait until it has ended, and return the result.

        Raises what the run raised, TimeoutError after `timeout` seconds, EngineNotRunning when closed.
        """
        group = self._open_group()
        try:
            self._loop.call(self._loop.runtime.run_now, group, timeout=timeout)
        except TimeoutError:
            raise TimeoutError(
                f"{self.name}: no result within {timeout} s ({self._standing()})"
            ) from None
        self._take(even_paused=True)
        return self.df

    def wait_for(
        self, predicate: Callable[[pd.DataFrame], Any], timeout: float = 10
    ) -> pd.DataFrame:
        """Block until `predicate(df)` is true and return that df; works inside a blocking cell.

        Raises TimeoutError, which says how things stood, and whatever the predicate raises.
        """
        deadline = time.monotonic() + timeout
        while True:
            view = self._view
            if view is not None and predicate(view.df):
                return view.df
            self._loop.require_own()
            with sheltered(), self._news:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self.name}: not within {timeout} s ({self._standing()})")
                if self._view is view:
                    self._news.wait(min(left, _LOOK_SECONDS))

    @whole
    def pause(self) -> None:
        """Keep the result as it is; the query does not run on our behalf until `resume`."""
        self._set_paused(True)

    @whole
    def resume(self) -> None:
        """Go on following the database, catching up first."""
        self._set_paused(False)

    @whole
    def close(self) -> None:
        """End the subscription, like `unsub`; the last df stays readable."""
        with self._news:
            group, subscription = self._group, self._subscription
            self._group = self._subscription = None
        if group is None:
            return
        self._following.end()
        self._loop.post(self._loop.runtime.unsubscribe, group, subscription)
        self._change_status(Status.CLOSED)
        self._on_close(self)

    def updates(self) -> AsyncIterator[Delta | pd.DataFrame]:
        """Iterate, with `async for`, over updates from now on: a Delta each, or the df without a key.

        A slow consumer gets the newest and skips what it missed. Ends when the query is closed.
        """
        return Updates(self)

    @whole
    def bind(self, **params_to_traits: Any) -> Binding:
        """Have parameters of the query follow widgets: `lq.bind(status=dropdown)`.

        A parameter `:name` follows a widget's `value`, a trait given as `(object, "trait")`, or takes
        a plain value. When one changes the query runs with the newest values, off this thread, the
        first time at once and then at most once per `throttle_ms`; this object, its observers and its
        tables stay. Until the result is there `status` is "stale"; where the values fail it is
        "error", with the last good result. Binding a parameter again replaces what it followed.
        `close()` of what this gives ends it, and so do `close()` of the query and `sub` under its name.
        Raises ConfigurationError or EngineNotRunning.
        """
        self._open_group()
        return self._following.bind(params_to_traits, self.sql)

    @property
    def followed(self) -> dict[str, tuple[traitlets.HasTraits, str]]:
        """Give what parameters are bound to, by name: pairs (object, "trait")."""
        return {name: (one.owner, one.name) for name, one in self._following.sources().items()}

    @whole
    def table(self, **options: Any) -> LiveTable:
        """Make a new table widget on this query.

        Options: `height` in CSS pixels; `sort`, `search` and `filters`, as the table's traits of
        these names. With `persist=True` the notebook file gets the first rows when the table is
        displayed, for viewers without a kernel; else it gets names and counts, no value. Raises
        ValueError for an option that makes no sense.
        """
        return self._displays.table(self, options)

    @whole
    def plot(
        self,
        kind: str = "line",
        x: str | None = None,
        y: str | Sequence[str] | None = None,
        by: str | None = None,
        window: Any = None,
        *,
        mode: str = "replace",
        log: bool = False,
        height: int = 320,
        persist: bool = False,
    ) -> LivePlot:
        """Make a new live chart of this query's result.

        `kind` is "line", "area", "bar", "scatter", or "auto": by the columns' types. `x` is the first
        column of times, else the first of numbers, else the row's number (for bars it may be text); `y`
        one column or several, else all numbers that are left; each value of the column `by` makes a
        series. With `window`, seconds, a timedelta, text such as "5min", or a width of a numeric x,
        only the newest part is drawn. `mode="append"` also keeps points that have left the result
        while they are in the window; where there is no column of times, x is the time of the result.
        `log=True` draws y on a logarithmic axis: what is not above 0 is a gap, and named below the chart.

        `height` is in CSS pixels. With `persist=True` the notebook file gets the first rows. The chart's
        `close()` ends it; one that appends goes on until then, whether somebody looks or not. Raises
        ConfigurationError, a ValueError, that names the columns there are, for one that is missing or
        cannot be drawn.
        """
        from .plot import options

        asked = options.read(kind, x, y, by, window, mode, log)
        return self._displays.plot(self, asked, height=height, persist=persist)

    def link(self, figure: Any, update: Callable[[Any, pd.DataFrame], Any]) -> Link:
        """Call `update(figure, df)` now and after each update, where observers run; newest wins.

        What it raises is shown and goes no further. The figure is not kept alive by this. The result
        ends it with `close()`.
        """
        from .link import Link

        return Link(self, figure, update)

    @property
    @whole
    def own_table(self) -> LiveTable:
        """The table that displaying this object shows, however often."""
        return self._displays.own(self)

    @property
    def persist(self) -> bool:
        """Say whether the notebook file gets the first rows when this object is displayed."""
        return self._displays.persist

    @persist.setter
    def persist(self, persist: bool) -> None:
        if persist != self.persist:
            self.own_table.persist = persist

    @whole
    def release(self) -> None:
        """Close, in every browser, the table that displaying this object made; nothing while it is live."""
        if self._group is None:
            self._displays.release()

    def __reduce__(self) -> Any:
        """Refuse to be copied or pickled; raises TypeError."""
        raise TypeError("A live query belongs to its engine; copy or pickle its `df` instead.")

    @property
    def truncated(self) -> bool:
        """Say whether `max_rows` cut the result."""
        return self._view is not None and self._view.truncated

    def observe(self, handler: Any, names: Any = traitlets.All, type: Any = "change") -> None:
        """Call `handler(change)` when a trait changes; what it raises stops no other observer."""
        ours = isinstance(handler, (Observer, traitlets.EventHandler))  # the latter: @observe
        wrapped = handler if ours else Observer(handler)
        super().observe(wrapped, names=names, type=type)

    def __repr__(self) -> str:
        return f"LiveQuery(name={self.name!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Show one table, however often the object is displayed."""
        bundle = self.own_table._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/plain": repr(self)}, metadata

    # -- for the engine's side

    def attach(
        self,
        group: Group,
        subscription: _Subscription,
        sql: str,
        params: Any,
        *,
        followed: Mapping[str, Source] | None = None,
        instead_of: object = None,
        noting: Callable[[], None] = lambda: None,
    ) -> bool:
        """Follow another query from now on; observers and tables stay. Its parameters follow `followed`.

        With `instead_of` only where that is still followed, and not paused; says whether it was. What
        is called by `noting` is part of what users see change at once.
        """
        with self._news:
            if instead_of is not None and (self._subscription is not instead_of or self._paused):
                return False
            old_group, old = self._group, self._subscription
            self._group, self._subscription = group, subscription
            self._paused = False
            another = group is not old_group
            self._succession.turn(subscription.state, (sql, params), counts_anew=another)
            noting()
            if instead_of is None:
                self._following.begin_anew()
            self._take()
        if instead_of is None:
            self._following.carry_over(followed or {}, sql)
        if old_group is not None and old is not None:
            self._loop.post(self._loop.runtime.unsubscribe, old_group, old)
        return True

    async def move(
        self,
        basis: Basis,
        spec: Spec,
        params: Mapping[str, Any],
        noting: Callable[[], None],
    ) -> None:
        """Follow the same query with other values; on the engine's loop.

        Nothing changes if meanwhile it was closed, paused or replaced. Raises as `sub`.
        """
        runtime, subscription = self._loop.runtime, _Subscription(self)
        group = await runtime.subscribe(spec, subscription)
        instead_of = basis.subscription
        if not self.attach(
            group, subscription, basis.sql, params, instead_of=instead_of, noting=noting
        ):
            runtime.unsubscribe(group, subscription)
        elif self.throttle_ms != spec.throttle_ms:
            runtime.set_throttle(group, subscription, self.throttle_ms)

    def basis(self) -> Basis | None:
        """Give what is followed at the moment; None when closed."""
        with self._news:
            if self._group is None:
                return None
            sql, params = self._succession.source
            return Basis(
                subscription=self._subscription,
                spec=self._group.spec,
                sql=sql,
                params=params if isinstance(params, Mapping) else {},
            )

    @property
    def is_resting(self) -> bool:
        """Say whether nobody wants another result at the moment."""
        return self._paused or self._group is None

    def restate(self) -> None:
        """Say anew how things stand."""
        self._take()

    def told(self, subscription: _Subscription, state: State) -> None:
        """Take a state on the engine's loop."""
        if subscription is self._subscription:
            self._take()
            if state.status is not Status.STALE:
                self._following.is_answered()

    def fail(self, error: PgrtError) -> None:
        """Hand an error to the error handler, where observers run."""
        self._delivery.call(lambda: handle(self._error_handler, error, self))

    def _take(self, *, even_paused: bool = False) -> None:
        """Make the newest state the view, wake who waits, and have it delivered."""
        with self._news:
            state = self._subscription.state if self._subscription is not None else None
            if state is None or state.snapshot is None or (self._paused and not even_paused):
                return
            unsettled = self._following.standing()
            self._succession.take(state, paused=self._paused, unsettled=unsettled)
            if self._told is None:
                self._told = self._view  # the first result is no change
            self._news.notify_all()
        self._spread()

    def _change_status(self, status: Status) -> None:
        with self._news:
            self._succession.say(status)
            self._news.notify_all()
        self._spread()

    def _spread(self) -> None:
        with self._news:
            wakers = list(self._wakers)
        for waker in wakers:
            waker.wake()
        self._delivery.news(self)

    def abandon(self) -> None:
        """Let go of the parent's engine in a forked child; the last df stays readable."""
        self._news = threading.Condition()
        self._group = self._subscription = None
        self._following.abandon()
        self._succession.say(Status.CLOSED, FORKED)
        self._delivery.abandon()
        self._displays.abandon()

    # -- Receiver: called by Delivery

    def push(self) -> None:
        """Bring every table up to date, and work out what observers will read."""
        view = self._view
        shown = view.shown() if view is not None else NOTHING
        try:
            self._displays.show(shown)
            if self._observes("delta"):
                # A million rows take 20 ms, which the kernel's main loop need not wait for.
                _ = [one.delta for one in (self._told, view) if one is not None]
        finally:
            self._pushed = view

    def flush(self) -> None:
        """Notify observers of every trait that differs from what they were told."""
        before, now = self._told, self._pushed  # what is newer is on its way
        if now is None or now is before:
            return
        self._told = now
        for name in NOTIFIED:
            if now.differs(before, name):
                self._notify(name, getattr(before, name, None), getattr(now, name))
        if self._observes("delta") and now.difference is not getattr(before, "difference", None):
            self._notify("delta", getattr(before, "delta", None), now.delta)

    def _notify(self, name: str, old: Any, new: Any) -> None:
        self.notify_change(traitlets.Bunch(name=name, old=old, new=new, owner=self, type="change"))

    def _observes(self, name: str) -> bool:
        """Say whether somebody observes a trait, so that it is worth working out."""
        found = self._trait_notifiers
        return any(found.get(which, {}).get("change") for which in (name, traitlets.All))

    @property
    def _view(self) -> View | None:
        """Give what is shown at the moment; None before the first result."""
        return self._succession.view

    def _shown(self) -> Shown:
        """Give what a table shows."""
        return self._view.shown() if self._view is not None else NOTHING

    # -- helpers

    def _set_paused(self, paused: bool) -> None:
        group = self._open_group()
        if paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._change_status(Status.PAUSED)
        else:
            self._take()
            self._following.go_on()
        self._loop.post(self._loop.runtime.pause, group, self._subscription, paused)

    def _open_group(self) -> Group:
        self._loop.require_own()
        if self._group is None:
            raise EngineNotRunning(f"The live query {self.name!r} is closed: subscribe again.")
        return self._group

    def _standing(self) -> str:
        """Say in words how things stand."""
        view = self._view
        if view is None:
            return "status starting, no result yet"
        error = f", error: {view.error}" if view.error is not None else ""
        return f"status {view.status}, version {view.version}, {len(view.df)} rows{error}"

    @traitlets.observe("throttle_ms")
    def _throttle_changed(self, change: Any) -> None:
        if self._group is not None:
            self._loop.post(
                self._loop.runtime.set_throttle, self._group, self._subscription, change["new"]
            )


class _Subscription:
    """Stand between one group and a LiveQuery, so that a replaced query is heard no more."""

    def __init__(self, query: LiveQuery) -> None:
        self.query = query
        self.state: State | None = None

    def told(self, state: State) -> None:
        self.state = state
        self.query.told(self, state)


def handle(handler: ErrorHandler, error: PgrtError, query: LiveQuery | None) -> None:
    """Call an error handler; what it raises itself is shown and goes no further."""
    try:
        handler(error, query)
    except BaseException as raised:
        show_error("the error handler raised", raised)
