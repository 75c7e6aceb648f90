"""The figures of ``benchmarks.speed`` as tables and a plot, and in a page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Row", "table", "update_page"]


@dataclass(frozen=True)
class Row:
    """The figures of one catalog size.

    Attributes:
        tools: The number of tools.
        demos: The number of demonstrations.
        times: Milliseconds per request by system: median and 99th percentile.
        cold: Seconds until a new process's first answer, and its megabytes, by backend.
    """

    tools: int
    demos: int
    times: Mapping[str, tuple[float, float]]
    cold: Mapping[str, tuple[float, float]]


def table(rows: Sequence[Row]) -> str:
    """Return the figures as Markdown: latency, then cold start and memory."""
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    lines = [
        "Milliseconds a request, median / 99th percentile:",
        "",
        "| tools | demonstrations | " + " | ".join(names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in rows:
        cells = [
            "{:.1f} / {:.1f}".format(*row.times[name]) if name in row.times else "-"
            for name in names
        ]
        lines.append(f"| {row.tools:,} | {row.demos:,} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "A new process until its first answer, and its memory:",
        "",
        "| tools | onnxruntime | sentence-transformers | ratio | MB | MB |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.cold:
            (fast, small), (slow, large) = row.cold["onnx"], row.cold["torch"]
            lines.append(
                f"| {row.tools:,} | {fast:.2f} s | {slow:.2f} s | {slow / fast:.1f} | {small:.0f} "
                f"| {large:.0f} |"
            )
    if len(rows) > 1 and rows[0].cold and rows[-1].cold:
        tools = rows[-1].tools - rows[0].tools
        more = rows[-1].cold["onnx"][1] - rows[0].cold["onnx"][1]
        lines += ["", f"Memory of one tool more: {more / tools * 1024:.1f} KB at its peak."]
    return "\n".join(lines)


def plot(rows: Sequence[Row]) -> str:
    """Return a plot of the medians over sizes as SVG, both axes logarithmic."""
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    colours = ("#c0392b", "#7f8c8d", "#2980b9", "#27ae60", "#8e44ad", "#d35400")
    low, high = np.log10([row.tools for row in rows])[[0, -1]]
    medians = [time[0] for row in rows for time in row.times.values()]
    bottom, top = np.floor(np.log10(min(medians))), np.ceil(np.log10(max(medians)))

    def place(tools: float, milliseconds: float) -> tuple[float, float]:
        x = 72 + 408 * (np.log10(tools) - low) / max(high - low, 1e-9)
        y = 300 - 270 * (np.log10(milliseconds) - bottom) / max(top - bottom, 1e-9)
        return round(float(x), 1), round(float(y), 1)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 340" font-family="sans-serif" '
        'font-size="12"><rect width="640" height="340" fill="white"/>'
    ]
    for exponent in range(int(bottom), int(top) + 1):
        _, y = place(rows[0].tools, 10.0**exponent)
        parts.append(f'<path d="M72 {y}H480" stroke="#ddd"/>')
        parts.append(f'<text x="64" y="{y + 4}" text-anchor="end">{10.0**exponent:,g} ms</text>')
    for row in rows:
        x, _ = place(row.tools, 10.0**bottom)
        parts.append(f'<text x="{x}" y="320" text-anchor="middle">{row.tools:,}</text>')
    ends = []
    for name, colour in zip(names, colours, strict=False):
        points = [place(row.tools, row.times[name][0]) for row in rows if name in row.times]
        line = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = points[-1]
        ends.append((y, x, name, colour))
    lowest = 0.0
    for y, x, name, colour in sorted(ends):
        lowest = max(y, lowest + 13)  # so that no name lies on another
        parts.append(f'<text x="{x + 6}" y="{lowest + 4}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def update_page(page: Path, rows: Sequence[Row]) -> None:
    """Write the figures between the marks of a page, and the plot into a file beside it."""
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    before, _, rest = page.read_text("utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n{table(rows)}\n{end}{after}", "utf-8")
    page.with_suffix(".svg").write_text(plot(rows), "utf-8")
