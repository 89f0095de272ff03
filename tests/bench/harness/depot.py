"""Depot: a server of this run with a data directory of its own, and its clients' command lines."""

import json
import os
import shutil
import subprocess

from harness.turns import run

SENDER = "ann"
SINK = "sink"
PASSWORD = "a password of the measurements"
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20


def reader(round):
    """Each round fetches as another account, so that all is unread."""
    return f"reader-{round}"


class Depot:
    """The server, from first start to stop. It is started only when a workload wants it."""

    def __init__(self, options, state, wanted):
        self.options, self.state, self.wanted = options, state, wanted
        self.data, self.password_file = state / "data", state / "password"
        self.server = None

    def __enter__(self):
        if self.wanted:
            if "faults" in run([self.options.depot_server, "--version"]):
                raise SystemExit(f"{self.options.depot_server} was built with the fault tests' switches")
            shutil.rmtree(self.state, ignore_errors=True)
            self.state.mkdir(parents=True)
            self.password_file.write_text(PASSWORD + "\n")
            self.add_account(SENDER, "--admin")
            for name in [SINK, *map(reader, range(self.options.rounds))]:
                self.add_account(name)
            self.start()
            self.log_in(SENDER)
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.terminate()
            try:
                self.server.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()

    def add_account(self, name, *flags):
        run([self.options.depot_server, "--data", self.data, "account", "add", name, *flags,
             "--password-file", self.password_file])

    def start(self):
        """Waits for the one line that says where it listens. Its log is kept beside its data."""
        with open(self.state / "server.log", "wb") as log:
            self.server = subprocess.Popen(
                [self.options.depot_server, "--data", self.data, "--listen", "127.0.0.1:0"],
                stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.server.stdout.readline()
        if not line.startswith("listening on https://"):
            raise SystemExit(f"depot-server did not start; see {self.state / 'server.log'}")
        self.address = line.removeprefix("listening on https://").strip()
        self.port = self.address.rsplit(":", 1)[1]

    def log_in(self, account, home=None, port=None):
        """An account may have several homes, each with a way to the server of its own."""
        self.client(home or account, "login", "--server", f"localhost:{port or self.port}", "--account", account,
                    "--password-file", self.password_file, "--ca", self.data / "tls" / "ca.pem")

    def client(self, home, *words):
        return run(self.command(*words), env=self.environment(home))

    def command(self, *words):
        return [self.options.depot, "--no-input", *words]

    def environment(self, home):
        """In which a client is the account's that has logged in there, whoever is logged in on this machine."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("DEPOT_")}
        return {**others, "DEPOT_STATE_DIR": str(self.state / "clients" / home)}

    def send(self, to, count, in_flight, connections):
        """Sends messages through the load generator and gives the seconds that the sends took."""
        said = run([self.options.examples / "bench-send", "--server", self.address, "--ca", self.data / "tls" / "ca.pem",
                    "--account", SENDER, "--password-file", self.password_file, "--to", to,
                    "--count", count, "--in-flight", in_flight, "--connections", connections])
        return json.loads(said)["seconds"]
