"""The workloads of files: one large one, and a tree of small ones, both ways. `s` is the stage, `r` the round."""

from harness.stage import clear, fresh_file, fresh_tree, lay, same, warm
from harness.turns import Contestant, Workload, run

GIB = 1 << 30
TREE_FILES = 10_000
TREE_FILE_BYTES = 4096


def to_far_end(name, turn, where):
    """A contestant that sends, to a place that is empty when its turn begins."""
    return Contestant(name, turn, prepare=lambda s, r: clear(where(s)))


def tree_to_far_end(name, turn):
    def prepare(s, r):
        warm(s.tree)
        clear(ssh_tree(s))

    return Contestant(name, turn, prepare=prepare)


def from_far_end(name, turn, source, where):
    """A contestant that fetches what a plain copy laid down, into an empty place."""

    def prepare(s, r):
        clear(s.out)
        lay(source(s), where(s))

    return Contestant(name, turn, prepare=prepare, check=lambda s, r: same(source(s), s.out))


def from_depot(name, source, get):
    """The same for Depot, where only a put lays anything down, under a name that is the round's."""

    def prepare(s, r):
        clear(s.out)
        s.put(source(s), f"/{name}-{r}")

    return Contestant("depot", lambda s, r: get(s, f"/{name}-{r}"), prepare=prepare,
                      check=lambda s, r: same(source(s), s.out))


def small_files(s, r):
    fresh_tree(s.tree, TREE_FILES, TREE_FILE_BYTES)


def bare(work):
    return [
        Contestant("bare stream", lambda s, r: s.bare(work)),
        Contestant("bare, 2 connections", lambda s, r: s.bare(work, "--in-flight", 2, "--connections", 2)),
    ]


def ssh_big(s):
    return s.peers.files / "big.bin"


def web_big(s):
    return s.peers.web / "big.bin"


def ssh_tree(s):
    return s.peers.files / "tree"


def big(s):
    return s.big


def tree(s):
    return s.tree


UP = Workload("up", "1 GiB up", "MB/s", GIB / 1e6, prepare=lambda s, r: fresh_file(s.big, GIB), contestants=[
    Contestant("depot", lambda s, r: s.put(s.big, f"/up-{r}")),
    to_far_end("sftp", lambda s, r: s.peers.sftp(f"put {s.big} {ssh_big(s)}"), ssh_big),
    to_far_end("nginx", lambda s, r: s.peers.curl_up(s.big, "big.bin"), web_big),
    to_far_end("rsync -W", lambda s, r: s.peers.rsync(s.big, s.peers.remote(ssh_big(s)), "-W", "--inplace"), ssh_big),
    *bare("up"),
    # What the disk takes, with nothing in the way.
    to_far_end("dd, fsync", lambda s, r: run(["dd", f"if={s.big}", f"of={s.out}", "bs=1M", "conv=fsync"]), lambda s: s.out),
])

DOWN = Workload("down", "1 GiB down to a file", "MB/s", GIB / 1e6, prepare=lambda s, r: fresh_file(s.big, GIB), contestants=[
    from_depot("down", big, lambda s, name: s.get(name)),
    from_far_end("sftp", lambda s, r: s.peers.sftp(f"get {ssh_big(s)} {s.out}"), big, ssh_big),
    from_far_end("nginx", lambda s, r: s.peers.curl_down("big.bin", s.out), big, web_big),
    from_far_end("rsync -W", lambda s, r: s.peers.rsync(s.peers.remote(ssh_big(s)), s.out, "-W", "--inplace"), big, ssh_big),
    *bare("down"),
])

TREE_UP = Workload("tree-up", "10,000 files of 4 KiB up", "files/s", TREE_FILES, prepare=small_files, contestants=[
    Contestant("depot", lambda s, r: s.put(s.tree, f"/tree-up-{r}"), prepare=lambda s, r: warm(s.tree)),
    tree_to_far_end("rsync", lambda s, r: s.peers.rsync(f"{s.tree}/", s.peers.remote(f"{ssh_tree(s)}/"))),
    tree_to_far_end("sftp", lambda s, r: s.peers.sftp(f"put -r {s.tree} {ssh_tree(s)}")),
    tree_to_far_end("rclone", lambda s, r: s.peers.rclone(s.tree, ssh_tree(s))),
])

TREE_DOWN = Workload("tree-down", "10,000 files of 4 KiB down", "files/s", TREE_FILES, prepare=small_files, contestants=[
    from_depot("tree-down", tree, lambda s, name: s.get(name, "-r")),
    from_far_end("rsync", lambda s, r: s.peers.rsync(s.peers.remote(f"{ssh_tree(s)}/"), f"{s.out}/"), tree, ssh_tree),
    from_far_end("sftp", lambda s, r: s.peers.sftp(f"get -r {ssh_tree(s)} {s.out}"), tree, ssh_tree),
])
