//! A line that a test can cut: everything between a client and the server goes through it, is counted, may
//! be slowed down, and ends at exactly the byte that was asked for.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Bytes that are carried at once.
const CARRIED_BYTES: usize = 32 << 10;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As if both sides had hung up.
    Closed,
    /// As by a firewall that has forgotten the connection.
    Reset,
}

/// Where the line is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) way: Way,
    /// Bytes of that way, counted from when this was asked for.
    pub(crate) after: u64,
    pub(crate) end: End,
}

/// The line; cut for good when dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
    _listening: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Line {
    server: SocketAddr,
    up: AtomicU64,
    down: AtomicU64,
    plan: Mutex<Plan>,
    broken: watch::Sender<End>,
}

#[derive(Debug, Default)]
struct Plan {
    /// Cuts to come, the next one last.
    cuts: Vec<Cut>,
    delay: Duration,
}

impl Proxy {
    /// A line to this server.
    pub(crate) fn new(runtime: &Runtime, server: SocketAddr) -> Self {
        let (broken, _) = watch::channel(End::Closed);
        let line = Arc::new(Line {
            server,
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            plan: Mutex::default(),
            broken,
        });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let listening = runtime.spawn(listen(listener, Arc::clone(&line)));
        Self { address, line, _listening: AbortOnDropHandle::new(listening) }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the line at these places, one after the other, and holds every piece up for so long.
    pub(crate) fn plan(&self, mut cuts: Vec<Cut>, delay: Duration) {
        cuts.reverse();
        *self.line.plan() = Plan { cuts, delay };
    }

    /// Cuts that have not come.
    pub(crate) fn uncut(&self) -> usize {
        self.line.plan().cuts.len()
    }

    /// Bytes that went through, up and down.
    pub(crate) fn carried(&self) -> Carried {
        let bytes = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Carried { up: bytes(&self.line.up), down: bytes(&self.line.down) }
    }
}

/// Bytes that went through a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    up: u64,
    down: u64,
}

impl Carried {
    /// Those of one way since an earlier count.
    pub(crate) fn since(self, earlier: Self, way: Way) -> u64 {
        match way {
            Way::Up => self.up - earlier.up,
            Way::Down => self.down - earlier.down,
        }
    }
}

impl Line {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of these bytes may still go, and how the line ends after them.
    fn allowance(&self, way: Way, wanted: usize) -> (usize, Option<End>) {
        let mut plan = self.plan();
        let Some(cut) = plan.cuts.last_mut().filter(|cut| cut.way == way) else {
            return (wanted, None);
        };
        if cut.after > wanted as u64 {
            cut.after -= wanted as u64;
            return (wanted, None);
        }
        let (last, end) = (cut.after as usize, cut.end);
        plan.cuts.pop();
        (last, Some(end))
    }

    fn count(&self, way: Way, bytes: usize) {
        let count = if way == Way::Up { &self.up } else { &self.down };
        count.fetch_add(bytes as u64, Ordering::SeqCst);
    }
}

async fn listen(listener: TcpListener, line: Arc<Line>) {
    // Dropped with this task: what is under way then ends too.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, Arc::clone(&line)));
        while connections.try_join_next().is_some() {}
    }
}

/// Carries one connection until it ends, or the line is cut.
async fn connection(mut client: TcpStream, line: Arc<Line>) {
    let mut broken = line.broken.subscribe();
    let Ok(mut server) = TcpStream::connect(line.server).await else { return };
    for side in [&client, &server] {
        let _ = side.set_nodelay(true);
    }
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = carry(&line, Way::Up, from_client, to_server);
        let down = carry(&line, Way::Down, from_server, to_client);
        tokio::select! {
            _ = async { tokio::join!(up, down) } => End::Closed,
            _ = broken.changed() => *broken.borrow(),
        }
    };
    if end == End::Reset {
        for side in [&client, &server] {
            let _ = side.set_zero_linger();
        }
    }
}

async fn carry(
    line: &Line,
    way: Way,
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
) {
    let mut buffer = vec![0; CARRIED_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let delay = line.plan().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let (allowed, end) = line.allowance(way, read);
        if to.write_all(&buffer[..allowed]).await.is_err() {
            break;
        }
        line.count(way, allowed);
        if let Some(end) = end {
            // Everything that goes over this line ends, not this connection alone.
            line.broken.send_replace(end);
            return;
        }
    }
    let _ = to.shutdown().await;
}
