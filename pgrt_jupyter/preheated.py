"""Have a kernel that Voilà made ready ahead of its visitor connect to nothing until there is one.

With `--preheat_kernel=True` Voilà runs a notebook before anybody asks for it. The imports are what takes
long; connections, locks and triggers that speak would be held for nobody. So the first engine of such a
kernel waits, and with it the rest of the notebook, until a page has taken the kernel.
"""

from __future__ import annotations

import os

from .delivery import kernel_loop

_MARK = "VOILA_PREHEAT"


def wait_for_visitor() -> None:
    """Return at once, or, in a kernel made ready ahead, when a page has come; once in a process."""
    # A process that such a kernel starts has the variable, too.
    if os.environ.get(_MARK) != "True" or kernel_loop() is None:
        return
    try:
        from voila.utils import wait_for_request
    except ImportError:
        return
    wait_for_request()
    os.environ[_MARK] = "False"  # as in a kernel that was made for its page
