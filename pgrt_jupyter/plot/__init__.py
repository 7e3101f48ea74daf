"""Draw a result as a live chart in a browser.

`options` reads what was asked for, `columns` chooses what is drawn, `series` makes series of numbers of
it with `numbers`, `kept` remembers points that have left the result, `drawing` does all that off the
threads others wait for, `thin` leaves as many points as a screen can show, `viewer` writes the messages
of `protocol`, and `widget` sends them.
"""

from __future__ import annotations
