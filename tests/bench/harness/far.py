"""Far away: the same server and the same daemons at the end of a line with a round trip of 100 ms, and the workloads
over it, one large file both ways. `s` is the stage, `r` the round."""

import subprocess

from harness.depot import SENDER
from harness.files import big, from_depot, from_far_end, ssh_big, to_far_end, web_big
from harness.peers import SSH_PORT, WEB_PORT
from harness.stage import fresh_file
from harness.turns import Contestant, Workload

ONE_WAY_MS = 50
FAR_BYTES = 512 << 20
# Where ann is logged in over the line.
HOME = "ann, far away"


class Far:
    """The lines, one to each daemon, and Depot's client at the near end of its own."""

    def __init__(self, options, depot):
        self.program, self.depot, self.lines = options.examples / "bench-delay", depot, []

    def __enter__(self):
        self.ssh_port, self.web_port = self.line_to(SSH_PORT), self.line_to(WEB_PORT)
        if self.depot.wanted:
            self.depot.log_in(SENDER, HOME, self.line_to(self.depot.port))
        return self

    def __exit__(self, *_):
        for line in self.lines:
            line.communicate()

    def line_to(self, port):
        """Gives the port where the line begins. It ends with its input, and so with us."""
        command = [self.program, "--to", f"127.0.0.1:{port}", "--one-way-ms", str(ONE_WAY_MS)]
        line = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines.append(line)
        return line.stdout.readline().strip().rsplit(":", 1)[1]

    def client(self, *words):
        self.depot.client(HOME, *words)


def fresh(s, r):
    fresh_file(s.big, FAR_BYTES)


UP = Workload("wan-up", "512 MiB up, 100 ms away", "MB/s", FAR_BYTES / 1e6, prepare=fresh, contestants=[
    Contestant("depot", lambda s, r: s.far.client("put", s.big, f"/wan-up-{r}")),
    to_far_end("sftp", lambda s, r: s.peers.sftp(f"put {s.big} {ssh_big(s)}", s.far.ssh_port), ssh_big),
    to_far_end("nginx", lambda s, r: s.peers.curl_up(s.big, "big.bin", s.far.web_port), web_big),
])

DOWN = Workload("wan-down", "512 MiB down, 100 ms away", "MB/s", FAR_BYTES / 1e6, prepare=fresh, contestants=[
    from_depot("wan-down", big, lambda s, name: s.far.client("get", name, s.out)),
    from_far_end("sftp", lambda s, r: s.peers.sftp(f"get {ssh_big(s)} {s.out}", s.far.ssh_port), big, ssh_big),
    from_far_end("nginx", lambda s, r: s.peers.curl_down("big.bin", s.out, s.far.web_port), big, web_big),
])
