"""What a run says: one table for people, one file with every figure for programs."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time


def print_progress(workload, rates):
    for name, values in rates.items():
        print(f"{workload.name}: {name} {shown(statistics.median(values))} {workload.unit}", file=sys.stderr, flush=True)


def table(workloads, figures):
    """Medians, the spread, and how many times as fast Depot was, where it took part."""
    lines = ["| work | who | median | min–max | Depot is |", "|---|---|---:|---:|---:|"]
    for workload in workloads:
        rates = figures[workload.name]
        ours = rates.get("depot")
        title = workload.title
        for name, values in rates.items():
            median = statistics.median(values)
            ratio = f"{statistics.median(ours) / median:.2f}×" if ours and name != "depot" else ""
            spread = f"{shown(min(values))}–{shown(max(values))}"
            lines.append(f"| {title} | {name} | {shown(median)} {workload.unit} | {spread} | {ratio} |")
            title = ""
    return "\n".join(lines)


def keep(folder, root, options, workloads, figures):
    """Writes every figure to a file of its own, and gives its path."""
    folder.mkdir(exist_ok=True)
    path = folder / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    kept = {
        "commit": commit(root),
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "cpu": cpu()},
        "rounds": options.rounds,
        "workloads": [
            {"name": w.name, "title": w.title, "unit": w.unit, "rates": figures[w.name]} for w in workloads
        ],
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return path


def commit(root):
    said = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return said.stdout.strip()


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def shown(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
