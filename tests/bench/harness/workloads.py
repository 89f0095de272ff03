"""All workloads, by name."""

from harness import far, files, frugal, mail

ALL = {workload.name: workload for workload in [
    files.UP, files.DOWN, files.TREE_UP, files.TREE_DOWN, mail.send(1), mail.send(8), mail.send(64), mail.FETCH,
    frugal.AGAIN, frugal.FRONT, frugal.SPARSE, far.UP, far.DOWN,
]}


def chosen(only):
    unknown = set(only or []) - set(ALL)
    if unknown:
        raise SystemExit(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    return [ALL[name] for name in only or ALL]
