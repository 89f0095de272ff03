"""Where the work is done: a folder, fresh bytes, the peers, the server, the programs."""

import json
import os
import pathlib
import shutil
import uuid

from harness.depot import SENDER
from harness.turns import run

TREE_FOLDERS = 100
COPY_BYTES = 4 << 20
FRESH_BYTES = 16
ASIDE = ".aside"
DROP_CACHES = pathlib.Path("/proc/sys/vm/drop_caches")


class Stage:
    def __init__(self, options, work, peers=None, depot=None, far=None):
        self.options, self.work, self.peers, self.depot, self.far = options, work, peers, depot, far
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self.big, self.tree, self.out = work / "big.bin", work / "tree", work / "out"
        self.seen = work / "seen"
        # The big one once more, and not quite.
        self.copy, self.changed, self.sparse = work / "copy.bin", work / "changed.bin", work / "sparse.bin"

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
    """Bytes that nobody has seen, where earlier ones have left the page cache. A virtual machine gives memory that was
    free for long back to its host, and getting it again is slow: whoever writes a large file when the cache grows over
    what was used before pays for that (measured: 1 GiB down at 60 % of the rate, whoever fetches)."""
    os.sync()
    DROP_CACHES.write_text("1")
    with open(path, "wb") as file:
        for _ in range(size // COPY_BYTES):
            file.write(os.urandom(COPY_BYTES))


def fresh_tree(path, files, size, folders=TREE_FOLDERS):
    """So many files of that size in so many folders."""
    clear(path)
    for folder in range(folders):
        inside = path / f"folder-{folder:03}"
        inside.mkdir(parents=True)
        for number in range(files // folders):
            (inside / f"file-{number:03}.bin").write_bytes(os.urandom(size))


def freshen(tree):
    """Other contents in the same files: a few bytes are enough where a file is one chunk."""
    for path in tree.rglob("*.bin"):
        with open(path, "r+b") as file:
            file.write(os.urandom(FRESH_BYTES))


def clear(path):
    """Nothing is there afterwards. A folder is only set aside: ext4 does not give the inodes of a mass removal
    out again for a minute and more, and looks at each of them for every file that is made meanwhile (measured:
    files down at half the rate, whoever fetches)."""
    if path.is_dir():
        path.rename(path.with_name(f"{path.name}-{uuid.uuid4()}{ASIDE}"))
    else:
        path.unlink(missing_ok=True)


def remove_set_aside(folder):
    for path in folder.glob(f"*{ASIDE}"):
        shutil.rmtree(path)


def warm(tree):
    """Into memory: some programs drop what they have read from it, and whoever is next would pay."""
    for path in tree.rglob("*"):
        if path.is_file():
            path.read_bytes()


def lay(source, target):
    """A copy at the far end, for downloads."""
    clear(target)
    run(["cp", "-a", source, target])


def same(one, other):
    """A fast wrong copy is no figure."""
    run(["diff", "-rq", "--no-dereference", one, other])
