"""Decide when one view in a browser is sent something, and whether anybody is still there.

Time comes in as `now`, in seconds; nothing is sent from here. The rules:

- One push is in flight. While it is not acknowledged further updates only mark the viewer as
  behind; the acknowledgement brings the newest state, whatever was skipped.
- A kernel running a cell may be unable to hear acknowledgements, while the browser sees every push.
  So an unacknowledged push holds back the next one for a second, not for ever.
- A viewer is gone after it said bye, or after the kernel was free to hear it and heard nothing: for
  `UNANSWERED` seconds with a push in flight, for `SILENT` seconds without (browsers send a beat
  every five), so that nothing is sent 15 s after a page was left. Time during which the kernel was
  busy does not count.
"""

from __future__ import annotations

UNANSWERED = 9.0
SILENT = 12.0
HOLD_BACK = 1.0


class Presence:
    """Know what one view is waiting for, and when it was last heard."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.behind = True
        self._asks = False
        self._unacknowledged: int | None = None
        self._pushed_at = 0.0
        self._quiet = 0.0

    def ask(self) -> None:
        """Note that the view asks for something: the next push is due at once."""
        self.behind = self._asks = True

    def pushed(self, seq: int, now: float) -> None:
        """Note that the view was sent all there is, with message `seq`."""
        self.behind = self._asks = False
        self._unacknowledged, self._pushed_at = seq, now

    def heard(self) -> None:
        """Note that the view gave a sign of life."""
        self._quiet = 0.0

    def acknowledge(self, seq: int) -> None:
        """Note that the view has a message; a late acknowledgement of an older one is none."""
        if seq == self._unacknowledged:
            self._unacknowledged = None

    def free(self, seconds: float) -> None:
        """Note that the kernel was free to hear the view for this long, and did not."""
        self._quiet += seconds

    @property
    def is_gone(self) -> bool:
        """Tell whether nobody is there any more."""
        return self._quiet >= (SILENT if self._unacknowledged is None else UNANSWERED)

    def may_be_sent(self, now: float) -> bool:
        """Tell whether a push is due and allowed."""
        free = self._unacknowledged is None or now - self._pushed_at >= HOLD_BACK
        return self.behind and (free or self._asks)
