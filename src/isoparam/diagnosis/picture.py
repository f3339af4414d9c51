"""Pictures of a finding as SVG in the page itself: the way from the loss to the stale value, and how both drift apart."""

from html import escape
from math import isfinite

from isoparam.diagnosis.findings import Finding, History

_LETTER, _PAD, _HEIGHT, _GAP, _ACROSS = 8, 10, 34, 30, 900
WIDTH, TALL, LEFT, TOP, BOTTOM = 640, 200, 60, 14, 30


def path_picture(finding: Finding) -> str:
    """Boxes from the loss to the stale value, in rows where there are many; "" where no graph was seen."""
    if not finding.path:
        return ""
    names = [*finding.path, finding.attr]
    boxes, arrows = [], []
    left, top, widest = 1, 1, 1
    for place, name in enumerate(names):
        wide = _LETTER * len(name) + 2 * _PAD
        if place and left + wide > _ACROSS:
            left, top = 1, top + _HEIGHT + 16
        kind = "stale" if place == len(names) - 1 else "step"
        boxes.append(
            f'<rect class="{kind}" x="{left}" y="{top}" width="{wide}" height="{_HEIGHT}" rx="5"/>'
            f'<text x="{left + wide / 2}" y="{top + 22}" text-anchor="middle">{escape(name)}</text>'
        )
        right, middle = left + wide, top + _HEIGHT / 2
        if place < len(names) - 1:
            tip = right + _GAP - 4
            arrows.append(
                f'<path class="arrow" d="M{right + 2} {middle}H{tip - 6}"/>'
                f'<path class="head" d="M{tip - 7} {middle - 5}L{tip} {middle}L{tip - 7} {middle + 5}Z"/>'
            )
        widest, left = max(widest, right + _GAP), right + _GAP
    size = f'viewBox="0 0 {widest} {top + _HEIGHT + 1}" width="{widest}"'
    label = escape(f"from the loss to {finding.attr}: {', '.join(finding.path)}")
    return f'<svg class="way" role="img" aria-label="{label}" {size}>{"".join(arrows)}{"".join(boxes)}</svg>'


def history_picture(history: History | None) -> str:
    """Two lines over the steps: what the parameter says, what was used; "" where that was not followed."""
    values = [value for value in (*history.fresh, *history.used) if isfinite(value)] if history else []
    if history is None or not values:
        return ""
    low, high = min(values), max(values)
    span = high - low or 1.0
    first, last = history.steps[0], history.steps[-1]

    def points(numbers: tuple[float, ...]) -> str:
        spots = []
        for step, value in zip(history.steps, numbers, strict=True):
            if isfinite(value):
                across = LEFT + (WIDTH - LEFT - 10) * ((step - first) / ((last - first) or 1))
                spots.append(f"{across:.1f},{TOP + (TALL - TOP - BOTTOM) * (high - value) / span:.1f}")
        return " ".join(spots)

    return (
        f'<figure><svg class="drift" role="img" viewBox="0 0 {WIDTH} {TALL}" width="{WIDTH}"'
        f' aria-label="{escape(history.entry)}: the parameter goes to {history.fresh[-1]:.4g}, used is {history.used[-1]:.4g}">'
        f'<path class="axis" d="M{LEFT} {TOP}V{TALL - BOTTOM}H{WIDTH - 10}"/>'
        f'<text x="{LEFT - 6}" y="{TOP + 5}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{LEFT - 6}" y="{TALL - BOTTOM}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{LEFT}" y="{TALL - 8}">step {first}</text>'
        f'<text x="{WIDTH - 10}" y="{TALL - 8}" text-anchor="end">step {last}</text>'
        f'<polyline class="fresh" points="{points(history.fresh)}"/><polyline class="used" points="{points(history.used)}"/>'
        f'</svg><figcaption>{escape(history.entry)}: <span class="fresh">what the parameter says</span>, '
        '<span class="used">what was used</span></figcaption></figure>'
    )
