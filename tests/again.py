"""Run the few tests again that failed, alone, and name those that pass then: `python -m tests.again`.

Hundreds of tests wait for real servers, kernels and browsers, and on a busy machine one of them may wait
in vain. That is a fault to be mended, so it is named, but it says nothing about the change under test. Where
more than a few failed, or one fails again, that is the answer. Of a notebook all cells run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FEW = 3
LONGEST = 1200.0  # seconds; a test that hangs has 300


def failed() -> list[str]:
    """List what the last run of pytest left failing."""
    noted = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
    names = json.loads(noted.read_text("utf-8")) if noted.exists() else {}
    return sorted({_whole(name) for name in names})


def _whole(name: str) -> str:
    """Name a test, or the notebook that a cell is of."""
    path = name.partition("::")[0]
    return path if path.endswith(".ipynb") else name


def main() -> int:
    """Give 0 where everything passes now."""
    names = failed()
    if not 0 < len(names) <= FEW:
        return 1
    print(f"\nAgain, alone: {', '.join(names)}", flush=True)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", *names]
    ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=LONGEST)
    if ended.returncode:
        return 1
    print(f"\nFailed once, passed alone (to be mended): {', '.join(names)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
