"""What comes of the benchmark's figures: tables, the targets of the suite, and a chart."""

import statistics
import sys
from xml.sax.saxutils import escape


def say(text):
    print(text, file=sys.stderr, flush=True)


def table(rows, heading):
    widths = [max(len(str(row[column])) for row in [heading, *rows]) for column in range(len(heading))]
    lines = []
    for row in [heading, ["─" * width for width in widths], *rows]:
        first, *others = (str(cell) for cell in row)
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def medians(runs):
    """{contestant: {figure: [values]}} → {contestant: {figure: median}}"""
    return {
        name: {figure: statistics.median(values) for figure, values in figures.items()}
        for name, figures in runs.items()
    }


# --- tables ---------------------------------------------------------------------------------------------------------

MEBI = 1 << 20

# Each: heading, figure, what it is divided by, digits.
TABLES = (
    ("fast path", (
        ("Gbit/s", "tcp", 1e9, 2), ("back", "tcp_back", 1e9, 2), ("4 streams", "tcp_four", 1e9, 2),
        ("no offload", "tcp_wire", 1e9, 2), ("1000 datagrams/s", "datagrams", 1e3, 1),
        ("flooded", "datagrams_flood", 1e3, 1),
        ("ping mean", "ping_mean", 1, 3), ("p50", "ping_p50", 1, 3), ("p99 ms", "ping_p99", 1, 3),
        ("loaded p50", "loaded_p50", 1, 2), ("p99 ms", "loaded_p99", 1, 2),
    )),
    ("20 Mbit/s link", (
        ("Mbit/s", "slow_goodput", 1e6, 1), ("used %", "slow_used", 0.01, 1), ("p50", "slow_p50", 1, 1),
        ("p99 ms", "slow_p99", 1, 1),
        ("back Mbit/s", "slow_back_goodput", 1e6, 1), ("used %", "slow_back_used", 0.01, 1),
        ("p50", "slow_back_p50", 1, 1),
        ("p99 ms", "slow_back_p99", 1, 1),
        ("4 flows Mbit/s", "slow_four_goodput", 1e6, 1), ("used %", "slow_four_used", 0.01, 1),
        ("p50", "slow_four_p50", 1, 1), ("p99 ms", "slow_four_p99", 1, 1),
    )),
    ("20 Mbit/s, 1 % loss", (
        ("Mbit/s", "lossy_goodput", 1e6, 1), ("used %", "lossy_used", 0.01, 1), ("p50", "lossy_p50", 1, 1),
        ("p99 ms", "lossy_p99", 1, 1),
        ("4 flows Mbit/s", "lossy_four_goodput", 1e6, 1), ("used %", "lossy_four_used", 0.01, 1),
        ("p50", "lossy_four_p50", 1, 1), ("p99 ms", "lossy_four_p99", 1, 1),
    )),
    ("processor time", (
        ("CPU s a GiB", "cpu", 1, 2), ("in user space", "cpu_user", 1, 2), ("relay", "cpu_relay", 1, 2),
        ("mid", "cpu_mid", 1, 2),
        ("deep", "cpu_deep", 1, 2), ("µs a datagram", "packet", 1, 1), ("relay", "packet_relay", 1, 1),
        ("mid", "packet_mid", 1, 1), ("deep", "packet_deep", 1, 1),
    )),
    ("memory and joining", (
        ("relay, MiB", "resident_relay", MEBI, 1), ("its own", "anonymous_relay", MEBI, 1),
        ("mid, MiB", "resident_mid", MEBI, 1), ("its own", "anonymous_mid", MEBI, 1),
        ("join to ping, ms", "join", 1, 1), ("1000 join, s", "storm", 1, 2),
    )),
)  # fmt: skip


def tables(found, titles):
    """The tables, without the columns and rows that nobody has a figure for; `titles`: {contestant: title}."""
    parts = []
    for name, columns in TABLES:
        columns = [column for column in columns if any(column[1] in figures for figures in found.values())]
        rows = []
        for contestant, figures in found.items():
            cells = [f"{figures[f] / scale:.{digits}f}" if f in figures else "–" for _, f, scale, digits in columns]
            if any(cell != "–" for cell in cells):
                rows.append([titles[contestant], *cells])
        if rows:
            parts.append(table(rows, [name, *(column[0] for column in columns)]))
    return "\n\n".join(parts)


def short(value):
    """Three digits, or all that stand before the point."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


# --- targets --------------------------------------------------------------------------------------------------------


def targets(found, peers):
    """[(what, value, "at least" or "at most", target)] of what was measured; `peers`: the contestants to be better
    than.
    """

    def get(name, figure):
        return found.get(name, {}).get(figure)

    def over(value, other):
        return value / other if value is not None and other else None

    def best(figure):
        return max((found[name][figure] for name in peers if figure in found.get(name, {})), default=None)

    def mine(figure, scale=1):
        value = get("mnedc", figure)
        return None if value is None else value / scale

    # Of the suite's three programs, the one that a stream costs most; where each has a host of its own, that is the
    # limit.
    dearest = max(
        (value for role in ("relay", "mid", "deep") if (value := mine(f"cpu_{role}")) is not None), default=None
    )
    plain_ping = get("plain", "ping_mean")
    above = mine("ping_mean") - plain_ping if mine("ping_mean") is not None and plain_ping is not None else None
    checks = [
        ("one TCP stream / plain TCP relay", over(mine("tcp"), get("socat", "tcp")), "at least", 1.0),
        ("one TCP stream / OpenVPN over TCP", over(mine("tcp"), get("openvpn", "tcp")), "at least", 35),
        ("one TCP stream / best peer in any tuning", over(mine("tcp"), best("tcp")), "at least", 7),
        ("CPU s a GiB, relay and both devices", mine("cpu"), "at most", 1.2),
        ("CPU a GiB of the dearest of the three / plain TCP relay", over(dearest, get("socat", "cpu")), "at most", 1.0),
        ("CPU a GiB / OpenVPN over TCP", over(mine("cpu"), get("openvpn", "cpu")), "at most", 0.025),
        ("200-byte packets without loss / best peer", over(mine("datagrams"), best("datagrams")), "at least", 1.2),
        ("idle ping above the plain path, mean ms", above, "at most", 0.3),
        ("ping p99 beside a TCP stream, ms", mine("loaded_p99"), "at most", 3),
    ]
    for figure, words in (("slow", "one flow"), ("slow_back", "one flow back"), ("slow_four", "four flows")):
        checks += [
            (f"ping p99 on a 20 Mbit/s link, {words}, ms", mine(f"{figure}_p99"), "at most", 40),
            (f"20 Mbit/s link used, {words}, %", mine(f"{figure}_used", 0.01), "at least", 92),
        ]
    for figure, words in (("lossy", "one flow"), ("lossy_four", "four flows")):
        goodput, before = f"{figure}_goodput", f"{figure.replace('lossy', 'slow')}_goodput"
        kept, others = over(mine(goodput), mine(before)), over(get("socat", goodput), get("socat", before))
        checks += [
            (f"1 % loss, {words} / plain TCP relay", over(mine(goodput), get("socat", goodput)), "at least", 1.0),
            (f"kept with 1 % loss, {words} / by the plain TCP relay", over(kept, others), "at least", 1.0),
        ]
    checks += [
        ("resident memory of a device, MB", mine("resident_mid", 1e6), "at most", 12),
        ("resident memory of the relay, MB", mine("resident_relay", 1e6), "at most", 12),
        ("join to first ping, ms", mine("join"), "at most", 30),
    ]
    return [check for check in checks if check[1] is not None]


def met(check):
    _, value, bound, target = check
    return value >= target if bound == "at least" else value <= target


def verdict(check):
    """A line: "one TCP stream / plain TCP relay: 0.86, target at least 1.0: missed"."""
    what, value, bound, target = check
    return f"{what}: {short(value)}, target {bound} {target}: {'met' if met(check) else 'missed'}"


# --- the chart ------------------------------------------------------------------------------------------------------

# Each: title, figure, what it is divided by.
PANELS = (
    ("One TCP stream, Gbit/s", "tcp", 1e9),
    ("200-byte packets delivered, 1000/s", "datagrams", 1e3),
    ("Idle ping, mean ms", "ping_mean", 1),
    ("Ping p99 beside a TCP stream, ms", "loaded_p99", 1),
    ("Ping p99 on a busy 20 Mbit/s link, ms", "slow_p99", 1),
    ("CPU seconds a GiB, relay and devices", "cpu", 1),
    ("Resident memory of a device, MiB", "resident_mid", MEBI),
    ("Join to first ping, ms", "join", 1),
)
_LEFT, _BAR, _RIGHT, _ROW, _PANEL_GAP, _ACROSS = 150, 200, 60, 18, 34, 2


def chart(found, titles, note):
    """An SVG: a panel of bars for each of the main figures, on white, the suite's own bars in another colour."""
    panels = [
        (title, figure, scale) for title, figure, scale in PANELS if any(figure in each for each in found.values())
    ]
    rows = max((sum(figure in each for each in found.values()) for _, figure, _ in panels), default=0)
    width, height = _LEFT + _BAR + _RIGHT, rows * _ROW + _PANEL_GAP
    across = min(_ACROSS, max(len(panels), 1))
    down = -(-len(panels) // across)
    total = (across * width + 20, down * height + 50)
    size = f'width="{total[0]}" height="{total[1]}" viewBox="0 0 {total[0]} {total[1]}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, (title, figure, scale) in enumerate(panels):
        x, y = number % across * width + 10, number // across * height + 10
        bars = [(titles[name], name, each[figure] / scale) for name, each in found.items() if figure in each]
        longest = max(value for _, _, value in bars) or 1
        lines.append(f'<text x="{x + _LEFT}" y="{y + 14}" font-weight="bold">{escape(title)}</text>')
        for place, (label, name, value) in enumerate(bars):
            top, bar = y + 22 + place * _ROW, max(value / longest * _BAR, 1)
            colour = "#c2410c" if name == "mnedc" else "#64748b"
            lines += [
                f'<text x="{x + _LEFT - 6}" y="{top + 11}" text-anchor="end">{escape(label)}</text>',
                f'<rect x="{x + _LEFT}" y="{top}" width="{bar:.1f}" height="{_ROW - 4}" fill="{colour}"/>',
                f'<text x="{x + _LEFT + bar + 5:.1f}" y="{top + 11}">{short(value)}</text>',
            ]
    lines += [f'<text x="10" y="{total[1] - 12}" fill="#475569">{escape(note)}</text>', "</svg>"]
    return "\n".join(lines) + "\n"
