"""Give tests an IPython shell in this process, or a kernel of their own.

    def test_something(shell):      shell.run("%pgrt status") gives a Ran: text, error, result
    def test_something(kernel):     kernel.run(code), and every message the kernel sends

Both have `PGRT_DSN` set to the test's database.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from jupyter_client.manager import KernelManager
from traitlets.config import Config

import pgrt_jupyter as pgrt

TIMEOUT = 30.0  # seconds for anything a kernel is asked
Message = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Hold what came of running a cell in this process."""

    result: Any
    error: BaseException | None
    text: str
    displayed: list[Any]

    @property
    def shown(self) -> str:
        """Give the error as the notebook shows it."""
        assert self.error is not None, "the cell was expected to fail"
        return "\n".join(self.error._render_traceback_())  # type: ignore[attr-defined]


class Shell:
    """Run cells in an IPython shell of this process."""

    def __init__(self, ip: InteractiveShell) -> None:
        self.ip = ip

    def run(self, cell: str) -> Ran:
        """Run a cell; an error is part of the answer."""
        with capture_output() as captured:
            ran = self.ip.run_cell(cell)
        return Ran(
            result=ran.result,
            error=ran.error_in_exec or ran.error_before_exec,
            text=captured.stdout,
            displayed=list(captured.outputs),
        )


@pytest.fixture
def shell(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Load the extension into a new shell; its engine ends with the test."""
    monkeypatch.setenv("PGRT_DSN", dsn)
    ip = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    ip.run_line_magic("load_ext", "pgrt_jupyter")
    try:
        yield Shell(ip)
    finally:
        pgrt.shutdown()
        ip.reset()
        atexit.unregister(ip.atexit_operations)
        InteractiveShell.clear_instance()


@dataclass(slots=True)
class Outcome:
    """Hold what a kernel answered to one cell."""

    id: str  # of the request, which its messages name as their parent
    reply: Message
    messages: list[Message] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Give what the cell printed on stdout, and its value as plain text."""
        return "".join(
            message["content"]["text"]
            if message["msg_type"] == "stream"
            else message["content"]["data"].get("text/plain", "")
            for message in self.messages
            if message["msg_type"] == "execute_result"
            or (message["msg_type"] == "stream" and message["content"]["name"] == "stdout")
        )

    @property
    def error(self) -> Message | None:
        """Give the content of the error message, if there was one."""
        errors = [m["content"] for m in self.messages if m["msg_type"] == "error"]
        return errors[0] if errors else None


class Kernel:
    """Talk to a real kernel as a front end does, keeping everything it publishes."""

    def __init__(self, env: dict[str, str]) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=env)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.messages: list[Message] = []
        try:
            self.client.wait_for_ready(timeout=2 * TIMEOUT)
        except BaseException:
            self.close()
            raise

    def run(self, code: str, *, fails: bool = False) -> Outcome:
        """Run a cell to its end; it must fail exactly when `fails` says so."""
        outcome = self.finish(self.submit(code))
        assert (outcome.reply["status"] == "error") is fails, outcome.error or outcome.reply
        return outcome

    def submit(self, code: str) -> str:
        """Begin to run a cell and give the request's id."""
        return self.client.execute(code)

    def finish(self, request: str) -> Outcome:
        """Wait until a cell has run; its outcome holds what it sent so far."""
        self.until(lambda message: is_idle(message, request), since=0)
        while (reply := self.client.get_shell_msg(timeout=TIMEOUT))["parent_header"].get(
            "msg_id"
        ) != request:
            pass
        return Outcome(request, reply["content"], self.of(request))

    def of(self, request: str) -> list[Message]:
        """List the messages of one cell."""
        return [m for m in self.messages if m["parent_header"].get("msg_id") == request]

    def until(
        self,
        wanted: Callable[[Message], bool],
        *,
        since: int | None = None,
        timeout: float = TIMEOUT,
    ) -> Message:
        """Read until a wanted message comes; those before `since` (default: now) do not count."""
        seen = len(self.messages) if since is None else since
        deadline = time.monotonic() + timeout
        while True:
            for message in self.messages[seen:]:
                if wanted(message):
                    return message
            seen = len(self.messages)
            left = deadline - time.monotonic()
            try:
                self.messages.append(self.client.get_iopub_msg(timeout=max(left, 0.001)))
            except Empty:
                if left <= 0:
                    raise TimeoutError("the kernel did not send what was waited for") from None

    def make_subshell(self) -> str:
        """Have the kernel make a subshell, as JupyterLab does for widgets, and give its name."""
        request = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(request)
        reply = self.client.get_control_msg(timeout=TIMEOUT)
        return reply["content"]["subshell_id"]

    def send_to_comm(self, comm: str, content: dict[str, Any], subshell: str | None = None) -> None:
        """Send a custom message to a widget, as its view does."""
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)

    def ask(self, request: str) -> Message:
        """Wait for the answer to a request of another kind, such as a completion."""
        while True:
            reply = self.client.get_shell_msg(timeout=TIMEOUT)
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"]

    def close(self) -> None:
        """End the kernel, if it still runs, and the connection to it."""
        if self.manager.is_alive():
            self.manager.shutdown_kernel(now=False)
        self.client.stop_channels()
        self.manager.cleanup_resources()


def is_idle(message: Message, request: str) -> bool:
    """Say whether a message tells that a request has been worked off."""
    return (
        message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
        and message["parent_header"].get("msg_id") == request
    )


@pytest.fixture
def kernel(dsn: str, start_kernel: Callable[..., Kernel]) -> Kernel:
    """Start a kernel with the extension loaded."""
    return start_kernel(PGRT_DSN=dsn)


@pytest.fixture
def start_kernel(dsn: str) -> Iterator[Callable[..., Kernel]]:
    """Give a function that starts kernels with more in their environment; they end before `dsn`."""
    started: list[Kernel] = []

    def start(**extra: str) -> Kernel:
        started.append(Kernel({**os.environ, **extra}))
        started[-1].run("%load_ext pgrt_jupyter")
        return started[-1]

    yield start
    for kernel in started:
        kernel.close()
