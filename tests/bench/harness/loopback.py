"""The wire of all measurements: the loopback interface, one of this run alone, and what it has carried."""

import ctypes
import os
import pathlib
import subprocess

# Of unshare(2).
CLONE_NEWNET = 0x40000000
# Of the fields behind an interface's name in /proc/net/dev, the one of sent bytes.
SENT = 8


def enter():
    """Goes on, with all that is started from now on, in a network of its own: it has nothing but a loopback that
    nobody else on this machine sends anything over, and every port of it is free."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise SystemExit(f"no network of our own, to count the bytes of: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def carried_bytes():
    """Both directions, with all headers, since there is a loopback."""
    lines = pathlib.Path("/proc/net/dev").read_text().splitlines()
    fields = next(line.split(":")[1].split() for line in lines if line.strip().startswith("lo:"))
    return int(fields[SENT])
