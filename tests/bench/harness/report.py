"""What a run says: one table for people, one file with every figure for programs."""

import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time


def print_progress(workload, turns):
    for row in rows(workload, turns):
        print(f"{workload.name}: {row.who} {shown(row.median)} {row.unit}", file=sys.stderr, flush=True)


def table(workloads, figures):
    """Medians, the spread, and how many times as fast, or as frugal, Depot was, where it took part."""
    lines = ["| work | who | median | min–max | Depot is |", "|---|---|---:|---:|---:|"]
    for workload in workloads:
        before = None
        for row in rows(workload, figures[workload.name]):
            title = row.title if row.title != before else ""
            ratio = f"{row.ratio:,.2f}×" if row.ratio else ""
            spread = f"{shown(min(row.values))}–{shown(max(row.values))}"
            lines.append(f"| {title} | {row.who} | {shown(row.median)} {row.unit} | {spread} | {ratio} |")
            before = row.title
    return "\n".join(lines)


@dataclasses.dataclass
class Row:
    title: str
    who: str
    unit: str
    values: list
    # How much better Depot was.
    ratio: float | None = None

    @property
    def median(self):
        return statistics.median(self.values)


def rows(workload, turns):
    """One for each contestant, and where the wire is counted one more."""
    made = [Row(workload.title, who, workload.unit, [turn.figure for turn in each]) for who, each in turns.items()]
    compare(made, less_is_better=workload.amount is None)
    if workload.counts_wire:
        wire = [Row(f"{workload.title}: on the wire", who, "MB", [turn.wire_bytes / 1e6 for turn in each])
                for who, each in turns.items()]
        compare(wire, less_is_better=True)
        made += wire
    return made


def compare(rows, less_is_better):
    ours = next((row.median for row in rows if row.who == "depot"), None)
    for row in rows:
        if ours and row.who != "depot":
            row.ratio = row.median / ours if less_is_better else ours / row.median


def keep(folder, root, options, workloads, figures):
    """Writes every figure to a file of its own, and gives its path."""
    folder.mkdir(exist_ok=True)
    path = folder / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    kept = {
        **made_here(root),
        "rounds": options.rounds,
        "workloads": [
            {"name": w.name, "title": w.title, "unit": w.unit,
             "turns": {who: [dataclasses.asdict(turn) for turn in turns] for who, turns in figures[w.name].items()}}
            for w in workloads
        ],
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return path


def made_here(root):
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "cpu": cpu()}
    return {"commit": commit(root), "machine": machine}


def commit(root):
    said = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return said.stdout.strip()


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def shown(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
