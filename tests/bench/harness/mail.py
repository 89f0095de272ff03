"""The workloads of mail: durable sends, and fetching what is unread and keeping it. `s` is the stage, `r` the round."""

from harness.depot import SINK, reader
from harness.stage import clear
from harness.turns import Contestant, Workload

SENDS = 10_000
# The slow ones do less, or a run would take hours.
SENDS_ONE_BY_ONE = 2_000
DELIVERIES = 2_000
CALLS = 50_000
UNREAD = 10_000
CONNECTIONS_MAX = 8


def send(in_flight):
    """So many sends at a time beside as many LMTP connections, each of which sends one at a time."""
    connections = min(in_flight, CONNECTIONS_MAX)
    sends = SENDS if in_flight > 1 else SENDS_ONE_BY_ONE
    shared = ["--in-flight", in_flight, "--connections", connections, "--calls", CALLS]
    return Workload(f"send-{in_flight}", f"durable sends of 4 KiB, {in_flight} at a time", "messages/s", sends, contestants=[
        Contestant("depot", lambda s, r: s.depot.send(SINK, sends, in_flight, connections)),
        Contestant("dovecot lmtp", lambda s, r: s.peers.lmtp(DELIVERIES, in_flight, f"sink-{in_flight}-{r}"),
                   amount=DELIVERIES - DELIVERIES % in_flight),
        Contestant("bare calls", lambda s, r: s.bare("unary", *shared), amount=CALLS),
    ])


def fill_depot(s, r):
    clear(s.out)
    s.depot.send(reader(r), UNREAD, 64, CONNECTIONS_MAX)
    s.depot.log_in(reader(r))


def fill_dovecot(s, r):
    """mpop leaves what it fetched, so that one filling serves all rounds; it forgets what it has seen."""
    clear(s.out)
    clear(s.seen)
    for folder in ["cur", "new", "tmp"]:
        (s.out / folder).mkdir(parents=True)
    if r == 0:
        s.peers.empty("unread")
        s.peers.lmtp(UNREAD, 8, "unread")


def kept(s, r):
    count = sum(1 for _ in (s.out / "new").iterdir())
    if count != UNREAD:
        raise SystemExit(f"{count} of {UNREAD} messages were kept")


FETCH = Workload("fetch", "10,000 unread fetched and kept", "messages/s", UNREAD, contestants=[
    Contestant("depot", lambda s, r: s.depot.client(reader(r), "fetch", "--into", s.out), prepare=fill_depot, check=kept),
    Contestant("mpop, dovecot", lambda s, r: s.peers.mpop("unread", s.out, s.seen), prepare=fill_dovecot, check=kept),
])
