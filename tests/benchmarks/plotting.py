"""Draw how a figure grows."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

PLOTS = Path(__file__).parent / "plots"

Lines = Mapping[str, tuple[Sequence[float], Sequence[float], str]]  # label: x, y, style


def draw(name: str, lines: Lines, *, x: str, y: str, log: bool = True) -> None:
    """Write plots/NAME.png, the same for the same numbers; nothing without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=90, layout="constrained")
    axes = figure.subplots()
    for label, (across, up, style) in lines.items():
        axes.plot(across, up, style, marker="o", label=label)
    axes.set(xlabel=x, ylabel=y, xscale="log", yscale="log" if log else "linear")
    if not log:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    PLOTS.mkdir(exist_ok=True)
    figure.savefig(PLOTS / f"{name}.png", metadata={"Software": None})
