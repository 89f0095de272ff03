"""Cuts a mounted file system off its disk as a power cut does: what was not synced is gone.

    cut_power.py MOUNTPOINT

Says "ready", waits for a line, cuts, and says "cut". It is a program of its own because the ioctl has no safe
form in Rust, and because it is ready before the moment comes.
"""

import fcntl
import os
import struct
import sys

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)

mount = os.open(sys.argv[1], os.O_RDONLY)
print("ready", flush=True)
if sys.stdin.readline():
    fcntl.ioctl(mount, FS_IOC_SHUTDOWN, NO_LOG_FLUSH)
    print("cut", flush=True)
