"""Count which query features were live while which kinds of write, definition and fault happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class Coverage:
    """Hold counts of pairs."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.steps: Counter[str] = Counter()

    def met(self, features: Iterable[str], step: str) -> None:
        """Note a step and what was live while it happened."""
        self.steps[step] += 1
        self.pairs.update((feature, step) for feature in features)

    def report(self) -> str:
        """Put the counts into words: pairs met, the steps by number, the pairs never met."""
        features = sorted({feature for feature, _ in self.pairs})
        steps = sorted(self.steps)
        missing = [(f, s) for f in features for s in steps if not self.pairs[f, s]]
        lines = [
            f"pairs of query feature and step: {len(self.pairs)} of {len(features) * len(steps)}"
            f" ({len(features)} features, {len(steps)} kinds of step)",
            "steps: " + ", ".join(f"{step} {count}" for step, count in self.steps.most_common()),
        ]
        if missing:
            shown = ", ".join(f"{f} x {s}" for f, s in missing[:30])
            lines.append(f"never met, {len(missing)}: {shown}{' …' if len(missing) > 30 else ''}")
        return "\n".join(lines)
