"""The peers: OpenSSH's sftp, nginx with curl, rsync and rclone over ssh, Dovecot with LMTP and mpop."""

import subprocess

from harness.stage import clear, remove_set_aside
from harness.turns import run

SSH_OPTIONS = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"]
SSH_PORT = 2222
WEB_PORT = 8443


class Peers:
    """The daemons, from `up` to `down`, and their clients' command lines. `here` is where the scripts are,
    `state` where the daemons keep everything."""

    def __init__(self, here, state):
        self.here, self.state = here, state
        self.files = state / "sftp"
        self.web = state / "nginx" / "root"

    def install(self):
        run([self.here / "install"])

    def __enter__(self):
        # Those that an interrupted run left are in a network that nobody reaches any more.
        run([self.here / "down", self.state])
        run([self.here / "up", self.state])
        return self

    def __exit__(self, *_):
        subprocess.run([self.here / "down", self.state], check=False)
        for folder in [self.files, self.web, self.state / "dovecot" / "mail"]:
            remove_set_aside(folder)

    def sftp(self, batch, port=SSH_PORT):
        run(self.sftp_command("-", port), input=batch + "\n")

    def sftp_command(self, batch_file, port=SSH_PORT):
        return ["sftp", "-P", port, "-i", self.state / "id", *SSH_OPTIONS, "-b", batch_file, "root@127.0.0.1"]

    def rsync(self, source, target, *options):
        run(self.rsync_command(source, target, *options))

    def rsync_command(self, source, target, *options):
        shell = " ".join(["ssh", "-p", str(SSH_PORT), "-i", str(self.state / "id"), *SSH_OPTIONS])
        return ["rsync", "-a", *options, "-e", shell, source, target]

    def remote(self, path):
        """A path on the far end, for rsync."""
        return f"root@127.0.0.1:{path}"

    def rclone(self, source, target):
        run(["rclone", "-q", "--config", "/dev/null", "--transfers", "16", "--checkers", "16", "copy", source, f":sftp:{target}",
             "--sftp-host", "127.0.0.1", "--sftp-port", SSH_PORT, "--sftp-user", "root",
             "--sftp-key-file", self.state / "id", "--sftp-disable-hashcheck"])

    def curl_up(self, source, name, port=WEB_PORT):
        run(["curl", "-sSk", "--fail", "--http2", "-T", source, f"https://localhost:{port}/{name}"])

    def curl_down(self, name, target, port=WEB_PORT):
        run(["curl", "-sSk", "--fail", "--http2", "-o", target, f"https://localhost:{port}/{name}"])

    def empty(self, mailbox):
        clear(self.state / "dovecot" / "mail" / mailbox)

    def lmtp(self, count, connections, mailbox):
        run(["python3", self.here / "lmtp.py", count, connections, mailbox])

    def mpop(self, mailbox, maildir, seen):
        """Fetches all of a mailbox and leaves it there, so that the next round finds it again."""
        run(["mpop", "--file=/dev/null", "-C", "/dev/null", "--host=127.0.0.1", "--port=9995", "--tls=on", "--tls-starttls=off",
             "--tls-certcheck=off", f"--user={mailbox}", "--passwordeval=echo x", "--keep=on", "--auth=plain",
             f"--delivery=maildir,{maildir}", f"--uidls-file={seen}", "--quiet"])
