"""Find the kernel this process is, its main loop, and a context in which messages belong to no cell."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from typing import Any


def _kernel() -> Any:
    """Return the running ipykernel, or None; without importing IPython where nobody else did."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None)


def main_loop() -> Any:
    """Find the loop on which the kernel runs cells; None where there is none any more."""
    loop = getattr(getattr(_kernel(), "io_loop", None), "asyncio_loop", None)
    return None if loop is None or loop.is_closed() else loop


def when_free(call: Callable[[], None]) -> None:
    """Call on the kernel's main loop once it is free; at once where there is none."""
    loop = main_loop()
    if loop is None:
        call()
    else:
        loop.call_soon_threadsafe(call)


def outside_cells() -> contextvars.Context:
    """Give a context in which a comm message belongs to no cell.

    ipykernel 7.4 routes replies on a comm to the shell of the cell that last sent on it, which is
    the main one and may be busy; a message without a parent leaves the front end's own choice, a
    subshell in JupyterLab, so that scrolling is answered while a cell runs. Others ignore this.
    """
    context = contextvars.copy_context()
    parent = getattr(_kernel(), "_shell_parent", None)
    if isinstance(parent, contextvars.ContextVar):
        context.run(parent.set, {})
    return context
