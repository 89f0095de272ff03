"""Turns: who is measured, how long it took, and in which order."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import time
from typing import Callable

from harness import loopback

# A turn that takes longer is broken, not slow.
TURN_SECONDS_MAX = 600
# A disk is taken for idle when it did nothing for so long; others may use it too.
QUIET_SECONDS = 0.3
SETTLE_SECONDS_MAX = 30


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One way of doing a piece of work. `turn` does it and may return the seconds, where the program that
    does it knows them better than the clock around it."""

    name: str
    turn: Callable
    prepare: Callable = lambda stage, round: None
    check: Callable = lambda stage, round: None
    # How much of the work it does, where that is less than the others do.
    amount: float | None = None


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    unit: str
    # Of that unit, in one turn. Nothing where the time itself is the figure, in `unit` milliseconds.
    amount: float | None
    contestants: list
    # Fresh bytes for all contestants of a round.
    prepare: Callable = lambda stage, round: None
    # Whether what went over the wire is a figure too.
    counts_wire: bool = False


@dataclasses.dataclass(frozen=True)
class Turn:
    """What one turn came to: a rate, or a time in milliseconds, and all that went over the loopback meanwhile."""

    figure: float
    wire_bytes: int


def take_turns(workload, stage, rounds, skip):
    """Every contestant once a round, and nobody always first, who would pay for what the round's fresh bytes
    did to the machine's memory and disk: A B C, B C A. Gives each one's turns."""
    contestants = [c for c in workload.contestants if c.name not in skip]
    turns = {c.name: [] for c in contestants}
    for round in range(rounds):
        workload.prepare(stage, round)
        first = round * len(contestants) // rounds
        for contestant in contestants[first:] + contestants[:first]:
            turns[contestant.name].append(one_turn(workload, contestant, stage, round))
            print(f"  {workload.name} {round + 1}/{rounds} {contestant.name}", file=sys.stderr, flush=True)
    return turns


def one_turn(workload, contestant, stage, round):
    contestant.prepare(stage, round)
    settle(stage.work)
    carried, begun = loopback.carried_bytes(), time.monotonic()
    seconds = contestant.turn(stage, round)
    elapsed, wire_bytes = time.monotonic() - begun, loopback.carried_bytes() - carried
    contestant.check(stage, round)
    seconds = seconds or elapsed
    amount = contestant.amount or workload.amount
    return Turn(amount / seconds if amount else seconds * 1000, wire_bytes)


def settle(folder):
    """Waits until the disk has nothing to do: what the ones before left to be written, and what was removed
    meanwhile and is being discarded block by block, is not at the cost of the next one."""
    os.sync()
    device = os.stat(folder).st_dev
    counters = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    deadline, before = time.monotonic() + SETTLE_SECONDS_MAX, None
    while counters.exists() and time.monotonic() < deadline:
        now = counters.read_text()
        if now == before:
            return
        before = now
        time.sleep(QUIET_SECONDS)


def run(command, **options):
    """Runs a command to its end; what it says on failure is the report. Gives its output."""
    command = [str(word) for word in command]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TURN_SECONDS_MAX, **options)
    if ended.returncode:
        said = (ended.stderr + ended.stdout).strip()[-2000:]
        raise SystemExit(f"failed with {ended.returncode}: {' '.join(command)}\n{said}")
    return ended.stdout
