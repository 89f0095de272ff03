"""Many at the same time: a server with as many accounts, whose clients all put something of their own at once."""

import subprocess

from harness.depot import SENDER, Depot
from harness.turns import TURN_SECONDS_MAX


def member(number):
    return f"member-{number}"


class Crowd(Depot):
    """A server that has an account, and a client that is logged in, for each member."""

    def gather(self, members):
        for number in range(members):
            self.client(SENDER, "admin", "account", "add", member(number), "--password-file", self.password_file)
            self.log_in(member(number))

    def all_put(self, shares, target):
        """One member for each share of the sources, all at once; returns when the last is done."""
        putting = []
        for number, sources in enumerate(shares):
            command = [str(word) for word in self.command("--quiet", "put", "-r", *sources, target)]
            putting.append(subprocess.Popen(command, env=self.environment(member(number)),
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        for one in putting:
            _, said = one.communicate(timeout=TURN_SECONDS_MAX)
            if one.returncode:
                raise SystemExit(f"one of {len(putting)} failed with {one.returncode}: {said.strip()}")
