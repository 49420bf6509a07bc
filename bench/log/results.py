"""Results of the load generators: parsing, statistics, and the table."""

import dataclasses
import json
import statistics

FIELDS = ("appends_per_s", "p50_us", "p99_us", "p999_us", "count")
OURS = "quorate"
PEERS = ("etcd", "zookeeper")
FLOORS = ("floor-leveldb", "floor-file")
SYSTEMS = (OURS,) + PEERS + FLOORS
TITLES = {
    OURS: "Quorate",
    "etcd": "etcd",
    "zookeeper": "ZooKeeper create",
    "floor-leveldb": "floor, LevelDB",
    "floor-file": "floor, file",
}


class BenchError(Exception):
    """What went wrong, in words for the person who ran the command."""


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """What was measured: all results of one cell are comparable."""

    replicas: int
    size: int
    outstanding: int

    def title(self):
        return "%d replica%s, %s, %d in flight" % (
            self.replicas,
            "" if self.replicas == 1 else "s",
            size_text(self.size),
            self.outstanding,
        )


@dataclasses.dataclass(frozen=True)
class Spread:
    """The median of some rounds, the lowest and the highest."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values):
    values = list(values)
    return Spread(
        statistics.median(values), min(values), max(values), len(values)
    )


def parse_result(text):
    """The result in the last line of a generator's output, as a dict.

    Raises BenchError when there is none.
    """
    lines = text.strip().splitlines()
    try:
        result = json.loads(lines[-1])
        result = {field: float(result[field]) for field in FIELDS}
    except (IndexError, KeyError, TypeError, ValueError):
        raise BenchError(
            "no result in the generator's output:\n%s" % text[-500:]
        ) from None
    if result["count"] <= 0:
        raise BenchError("nothing was acknowledged")
    return result


def parse_acks(text):
    """Times in seconds from the generator's lines, the unfinished one aside."""
    times = []
    for line in text.split("\n")[:-1]:
        try:
            times.append(float(line.split()[0]))
        except (IndexError, ValueError):
            pass
    return times


def outage(acks, killed):
    """The longest time between two acknowledgements that ended after `killed`.

    None while none came after the kill.
    """
    return max(
        (b - a for a, b in zip(acks, acks[1:]) if b > killed), default=None
    )


def size_text(size):
    return "%d KiB" % (size // 1024) if size % 1024 == 0 else "%d B" % size


def number_text(value):
    """Three digits that count, and no more than are there."""
    if value < 10:
        return "%.2f" % value
    if value < 100:
        return "%.1f" % value
    return "{:,.0f}".format(value)


def layout(rows, indent="  "):
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(row[1:], widths[1:])]
        yield (indent + "  ".join(cells)).rstrip()


class Results:
    """Everything that was measured: results by cell, events by name."""

    def __init__(self):
        # cell -> system -> results, one for each round.
        self.cells = {}
        # name, as in "fail-over ms" -> system -> numbers, one for each round.
        self.events = {}
        self.failures = []
        # What a reader of the numbers must know.
        self.notes = []

    def add(self, cell, system, result):
        self.cells.setdefault(cell, {}).setdefault(system, []).append(result)

    def add_event(self, name, system, value):
        self.events.setdefault(name, {}).setdefault(system, []).append(value)

    def summary(self, cell, system):
        """field -> Spread, or None if there is no result."""
        results = self.cells.get(cell, {}).get(system)
        if not results:
            return None
        return {f: spread(r[f] for r in results) for f in FIELDS}

    def median(self, cell, system, field="appends_per_s"):
        summary = self.summary(cell, system)
        return summary[field].median if summary else None

    def ratios(self, cell):
        """How ours compares: name -> number. Empty without ours."""
        ours = self.median(cell, OURS)
        if ours is None:
            return {}
        ratios = {}
        peers = [self.median(cell, peer) for peer in PEERS]
        peers = [peer for peer in peers if peer]
        if peers:
            ratios["best peer"] = ours / max(peers)
        for floor in FLOORS:
            rate = self.median(cell, floor)
            if rate:
                ratios[floor] = ours / rate
                ratios[floor + " p99"] = self.median(
                    cell, OURS, "p99_us"
                ) / self.median(cell, floor, "p99_us")
        return ratios

    def to_json(self):
        cells = []
        for cell in sorted(self.cells):
            for system, results in self.cells[cell].items():
                cells.append(
                    dict(
                        dataclasses.asdict(cell), system=system, rounds=results
                    )
                )
        return {
            "cells": cells,
            "events": self.events,
            "failures": self.failures,
            "notes": self.notes,
        }

    # The table.

    def table(self):
        lines = []
        for cell in sorted(self.cells):
            lines += [cell.title(), *self._cell_lines(cell), ""]
        lines += self._overview()
        lines += self._event_lines()
        lines += ["Note: " + text for text in self.notes]
        if self.failures:
            lines += ["Failed:"] + ["  " + text for text in self.failures]
        return "\n".join(lines).rstrip() + "\n"

    def _cell_lines(self, cell):
        rows = [("", "appends/s", "lowest", "highest", "p50 us", "p99 us",
                 "p99.9 us")]
        for system in SYSTEMS:
            summary = self.summary(cell, system)
            if summary is None:
                continue
            rate = summary["appends_per_s"]
            numbers = [rate.median, rate.low, rate.high]
            numbers += [summary[f].median for f in FIELDS[1:4]]
            rows.append((TITLES[system], *map(number_text, numbers)))
        yield from layout(rows)
        ratios = self.ratios(cell)
        if ratios:
            yield "  " + ratio_text(ratios)

    def _overview(self):
        """Like the table of goals: one in flight / most in flight."""
        for replicas in sorted({cell.replicas for cell in self.cells}):
            cells = [c for c in self.cells if c.replicas == replicas]
            sizes = sorted({c.size for c in cells})
            depths = sorted({c.outstanding for c in cells})
            yield "%d replica%s, appends/s at %s in flight" % (
                replicas,
                "" if replicas == 1 else "s",
                " / ".join(map(str, depths)),
            )
            rows = [["", *map(size_text, sizes)]]
            for system in SYSTEMS:
                if any(system in self.cells[c] for c in cells):
                    rows.append([TITLES[system]] + [
                        " / ".join(
                            self._rate(Cell(replicas, size, depth), system)
                            for depth in depths)
                        for size in sizes])
            yield from layout(rows)
            yield ""

    def _rate(self, cell, system):
        rate = self.median(cell, system)
        return "-" if rate is None else number_text(rate)

    def _event_lines(self):
        for name, systems in self.events.items():
            yield name
            rows = [("", "median", "lowest", "highest", "rounds")]
            for system in SYSTEMS:
                if system in systems:
                    s = spread(systems[system])
                    rows.append((TITLES[system], number_text(s.median),
                                 number_text(s.low), number_text(s.high),
                                 str(s.rounds)))
            yield from layout(rows)
            yield ""


def ratio_text(ratios):
    parts = []
    if "best peer" in ratios:
        parts.append("%s x the best peer" % number_text(ratios["best peer"]))
    for floor in FLOORS:
        if floor in ratios:
            parts.append("%.0f %% of the %s (p99 %s x)" % (
                100 * ratios[floor], TITLES[floor],
                number_text(ratios[floor + " p99"])))
    return "Quorate: " + ", ".join(parts)
