"""The workloads of sending little: a content that is there already, one that has changed at its head, and one that is
mostly holes. `s` is the stage, `r` the round."""

import os
import shutil
import signal
import subprocess
import time

from harness import loopback
from harness.depot import SENDER
from harness.files import GIB, ssh_big, to_far_end
from harness.stage import clear, fresh_file, lay
from harness.turns import TURN_SECONDS_MAX, Contestant, Workload

# The client takes a file for unchanged that it has read when it was older than this, and a little more.
SETTLED_SECONDS = 2.5

SPARSE_BYTES = 100 << 30
SPARSE_HEAD_BYTES = 4 << 20
# What has gone over the wire when content must have: connecting and asking takes a few KiB.
CONTENT_BYTES = 256 << 10
LOOK_SECONDS = 0.000_5


def sent_before(s, r):
    """Everybody has the file, at another place."""
    fresh_file(s.big, GIB)
    time.sleep(SETTLED_SECONDS)
    s.put(s.big, f"/before-{r}")


def copied(s, r):
    """The same bytes in a file that the client has never read."""
    clear(s.copy)
    shutil.copyfile(s.big, s.copy)


def one_byte_more(s, r):
    fresh_file(s.big, GIB)
    with open(s.big, "rb") as big, open(s.changed, "wb") as changed:
        changed.write(os.urandom(1))
        shutil.copyfileobj(big, changed, 16 << 20)


def mostly_holes(s, r):
    fresh_file(s.sparse, SPARSE_HEAD_BYTES)
    os.truncate(s.sparse, SPARSE_BYTES)


def sftp_until_content(s):
    batch = s.work / "batch"
    batch.write_text(f"put {s.sparse} {ssh_big(s)}\n")
    return until_content(s.peers.sftp_command(batch))


def until_content(command, environment=None):
    """Starts a command and gives the seconds until it has sent content; then its end comes early."""
    carried, begun = loopback.carried_bytes(), time.monotonic()
    # In a group of its own: some have their ssh beside them.
    sending = subprocess.Popen([str(word) for word in command], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        while loopback.carried_bytes() - carried < CONTENT_BYTES:
            if sending.poll() is not None or time.monotonic() - begun > TURN_SECONDS_MAX:
                raise SystemExit(f"sent no content: {command}")
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - begun
    finally:
        if sending.poll() is None:
            os.killpg(sending.pid, signal.SIGKILL)
        sending.wait()


AGAIN = Workload("again", "1 GiB again, to another place", "ms", None, counts_wire=True, prepare=sent_before, contestants=[
    Contestant("depot", lambda s, r: s.put(s.big, f"/again-{r}")),
    Contestant("depot, from a copy", lambda s, r: s.put(s.copy, f"/copy-{r}"), prepare=copied),
    to_far_end("sftp", lambda s, r: s.peers.sftp(f"put {s.big} {ssh_big(s)}"), ssh_big),
    to_far_end("rsync -W", lambda s, r: s.peers.rsync(s.big, s.peers.remote(ssh_big(s)), "-W", "--inplace"), ssh_big),
])

FRONT = Workload("front", "1 GiB with one byte more at its head", "ms", None, counts_wire=True, prepare=one_byte_more,
                 contestants=[
    Contestant("depot", lambda s, r: s.put(s.changed, f"/front-{r}"), prepare=lambda s, r: s.put(s.big, f"/front-{r}")),
    # Not --inplace: it would write over what it is about to take from the old file.
    Contestant("rsync", lambda s, r: s.peers.rsync(s.changed, s.peers.remote(ssh_big(s)), "--no-whole-file"),
               prepare=lambda s, r: lay(s.big, ssh_big(s))),
])

SPARSE = Workload("sparse", "100 GiB with 4 MiB in it: until content is sent", "ms", None, prepare=mostly_holes, contestants=[
    Contestant("depot", lambda s, r: until_content(
        s.depot.command("put", s.sparse, f"/sparse-{r}"), s.depot.environment(SENDER))),
    to_far_end("sftp", lambda s, r: sftp_until_content(s), ssh_big),
    to_far_end("rsync -S", lambda s, r: until_content(
        s.peers.rsync_command(s.sparse, s.peers.remote(ssh_big(s)), "-S")), ssh_big),
])
