"""Say how the kernel works; apart from it, so that the soak need not load what only the kernel needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Say how the kernel works."""

    conninfo: str  # of the role that installs
    query_conninfos: dict[str, str]  # by role
    ledger: Path
    log: Path
    seed: str
    interval: float  # of the pulse, seconds
    deadline: float
    audit: float
    churn: float  # seconds between changes of subscriptions
    trace: bool = False
