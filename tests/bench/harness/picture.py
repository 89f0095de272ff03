"""A picture of how figures grow: an SVG of panels, each with its medians over a logarithmic axis, the spread of the
rounds at each of them, and an upright axis that begins at nothing. It is readable on light and on dark."""

import dataclasses
import html
import math
import statistics

COLUMNS = 2
WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 44, 52
# Between the ends of the grid and the first and the last point.
INSET = 26
LINES = 4

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #57606a } .title { font-weight: 600; font-size: 13px }
.grid { stroke: #8c959f; stroke-opacity: .3 } .spread { stroke: #0969da; stroke-opacity: .5; stroke-width: 5 }
.median { stroke: #0969da; stroke-width: 2; fill: none } circle { fill: #0969da } .value { font-size: 11px }
@media (prefers-color-scheme: dark) {
 text { fill: #9da7b3 } .spread, .median { stroke: #58a6ff } circle { fill: #58a6ff }
}"""


@dataclasses.dataclass
class Panel:
    title: str
    unit: str
    # What the level axis counts.
    across: str
    # The figures of all rounds, by that count.
    points: dict


def draw(panels):
    rows = math.ceil(len(panels) / COLUMNS)
    size = f'viewBox="0 0 {COLUMNS * WIDTH} {rows * HEIGHT}"'
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">', f"<style>{STYLE}</style>"]
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS)
        drawn += [f'<g transform="translate({column * WIDTH} {row * HEIGHT})">', *panel_parts(panel), "</g>"]
    return "\n".join([*drawn, "</svg>"]) + "\n"


def panel_parts(panel):
    x, y, step = scales(panel)
    parts = [text(LEFT, 22, f"{panel.title}, {panel.unit}", "start", "title"),
             text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, panel.across, "middle")]
    for value in (step * line for line in range(LINES + 1)):
        parts += [line(LEFT, y(value), WIDTH - RIGHT, y(value), "grid"),
                  text(LEFT - 8, y(value) + 4, f"{value:,g}", "end")]
    for count, values in panel.points.items():
        median = statistics.median(values)
        parts += [line(x(count), y(min(values)), x(count), y(max(values)), "spread"),
                  f'<circle cx="{x(count):.1f}" cy="{y(median):.1f}" r="4"/>',
                  text(x(count), y(max(values)) - 9, f"{median:,.0f}", "middle", "value"),
                  text(x(count), HEIGHT - BOTTOM + 18, f"{count:,}", "middle")]
    medians = " ".join(f"{x(count):.1f},{y(statistics.median(values)):.1f}" for count, values in panel.points.items())
    return [*parts, f'<polyline class="median" points="{medians}"/>']


def scales(panel):
    """Where a count and where a value is, and how far the lines of the grid are from each other."""
    first, last = math.log(min(panel.points)), math.log(max(panel.points))
    step = round_up(max(max(values) for values in panel.points.values()) / LINES)
    room, high = WIDTH - LEFT - RIGHT - 2 * INSET, HEIGHT - TOP - BOTTOM

    def x(count):
        return LEFT + INSET + room * (math.log(count) - first) / ((last - first) or 1)

    def y(value):
        return TOP + high * (1 - value / (step * LINES))

    return x, y, step


def round_up(value):
    """To a number that people count by."""
    power = 10 ** math.floor(math.log10(value))
    return next(power * digit for digit in [1, 2, 2.5, 5, 10] if power * digit >= value)


def line(x1, y1, x2, y2, kind):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x, y, words, anchor, kind=""):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'
