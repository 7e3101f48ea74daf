"""Write and check the list of variants: what each leaves out, and which tests notice.

    python -m tests.variants.table        writes README.md

Which test catches what is asked of pytest itself, so that a test that is gone or skipped counts for nothing.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
README = HERE / "README.md"
TESTS = (HERE, ROOT / "tests" / "integration")
HEAD = """\
# Broken engines

A test that cannot fail proves nothing. Each line is a way to break the engine, a patch of a few lines in
`broken.py`, and the tests that pass on the engine as built and fail on that variant.
`python -m tests.variants.table` writes this page; a test keeps it in agreement with the code.

"""


class _Collector:
    """Note which tests are run on which variant."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            broken = getattr(getattr(item, "callspec", None), "params", {}).get("broken")
            if broken and not any(item.iter_markers("skip")):
                self.found.setdefault(broken, set()).add(item.nodeid.partition("[")[0])


def caught() -> dict[str, list[str]]:
    """Ask pytest, in a process of its own, which tests catch which variant."""
    command = [sys.executable, "-m", "tests.variants.table", "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def page(found: dict[str, list[str]]) -> str:
    """Write the page."""
    from . import broken_plans  # noqa: F401 - it has variants of its own
    from .broken import VARIANTS

    lines, step = [HEAD], ""
    for variant in VARIANTS.values():
        if variant.step != step:
            step = variant.step
            lines.append(
                f"\n## {step.capitalize()}\n\n| variant | what is left out | caught by |\n"
            )
            lines.append("|---|---|---|\n")
        tests = "<br>".join(f"`{test}`" for test in found.get(variant.name, ()))
        lines.append(f"| {variant.name} | {variant.left_out} | {tests} |\n")
    return "".join(lines).replace("\n\n\n", "\n\n")


def _list() -> None:
    collector = _Collector()
    users = [str(HERE)] + [
        str(path) for path in TESTS[1].glob("test_*.py") if "variants.broken" in path.read_text()
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *users], [collector])
    print(json.dumps({name: sorted(tests) for name, tests in sorted(collector.found.items())}))


if __name__ == "__main__":
    if "--list" in sys.argv:
        _list()
    else:
        README.write_text(page(caught()))
