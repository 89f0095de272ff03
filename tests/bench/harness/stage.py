"""Where the work is done: a folder, fresh bytes, the peers, the server, the programs."""

import json
import os
import shutil

from harness.depot import SENDER
from harness.turns import run

TREE_FOLDERS = 100
COPY_BYTES = 16 << 20


class Stage:
    def __init__(self, options, work, peers, depot):
        self.options, self.peers, self.depot = options, peers, depot
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self.big, self.tree, self.out = work / "big.bin", work / "tree", work / "out"
        self.seen = work / "seen"

    def put(self, source, name):
        words = ["-r"] if source.is_dir() else []
        self.depot.client(SENDER, "put", *words, source, name)

    def get(self, name, *words):
        self.depot.client(SENDER, "get", *words, name, self.out)

    def bare(self, work, *words):
        """The same kind of work with nothing behind it: tonic and TLS alone."""
        said = run([self.options.examples / "bench-bare", work, *words])
        return json.loads(said)["seconds"]


def fresh_file(path, size):
    """Bytes that nobody has seen."""
    with open(path, "wb") as file:
        for _ in range(size // COPY_BYTES):
            file.write(os.urandom(COPY_BYTES))


def fresh_tree(path, files, size):
    """So many files of that size in a hundred folders."""
    clear(path)
    for folder in range(TREE_FOLDERS):
        inside = path / f"folder-{folder:03}"
        inside.mkdir(parents=True)
        for number in range(files // TREE_FOLDERS):
            (inside / f"file-{number:03}.bin").write_bytes(os.urandom(size))


def clear(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def lay(source, target):
    """A copy at the far end, for downloads."""
    clear(target)
    run(["cp", "-a", source, target])


def same(one, other):
    """A fast wrong copy is no figure."""
    run(["diff", "-rq", "--no-dereference", one, other])
