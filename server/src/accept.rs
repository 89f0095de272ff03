//! Connections: accepted, shaken hands with, watched, and let go.
//!
//! tonic's own server leaves handshakes, idle connections and unread answers without a limit, spins when
//! descriptors run out, and waits for ever when it stops (read in 0.14.9). Here each of these has a bound.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::io::InspectWriter;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::Service;
use tracing::Instrument;

/// Receive window of one call and of one connection: 32 MiB in flight fill a link of 2.5 Gbit/s with a
/// round trip of 100 ms.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// Connections from which on a new one has a smaller window: what all of them have in flight and nobody has
/// read stays in memory.
const SMALLER_WINDOWS: [(usize, u32); 2] = [(16, 8 << 20), (64, 1 << 20)];
/// Frames that this side takes.
const FRAME_BYTES: u32 = 262_135;
/// Bytes of one call that HTTP/2 holds for sending.
const SEND_BUFFER_BYTES: usize = 1 << 20;
/// Streams reset by our own errors before a peer is taken for an attacker (CVE-2025-8671).
const LOCAL_RESETS_MAX: usize = 1_024;
/// Streams reset by the peer and not yet seen by us (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 32;
/// A peer that does not answer a ping in this time is gone.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_ANSWERED: Duration = Duration::from_secs(20);
/// How often a connection is looked at.
const LOOKED_AT: Duration = Duration::from_secs(1);
/// A connection that carries this much in the time an answer may stand still is a slow one, not a dead one:
/// of many answers that share it, each may wait for its turn longer than that.
const MOVING_BYTES: u64 = 64 << 10;
/// Pause after an accept that failed for want of descriptors or memory.
const STARVED: Duration = Duration::from_millis(100);

/// The bounds of connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once.
    pub connections_max: usize,
    /// Calls at once on one.
    pub streams_max: u32,
    /// Bytes of all header fields of one request.
    pub header_bytes_max: u32,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the first request.
    pub first_request: Duration,
    /// Without any call.
    pub idle: Duration,
    /// With an answer that is not read.
    pub stall: Duration,
    /// For calls under way when the server stops.
    pub drain: Duration,
}

/// What goes on in a connection.
pub trait Traffic: Send + Sync {
    /// Whether there ever was a call.
    fn begun(&self) -> bool;
    /// For how long there has been none; `None` while there is one.
    fn idle(&self) -> Option<Duration>;
    /// Whether an answer has been left unread for longer than this.
    fn stalled(&self, limit: Duration) -> bool;
}

/// Serves connections until `stop`, then lets calls finish within the drain and returns.
pub async fn run<S, F>(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    bounds: Bounds,
    connect: F,
    stop: CancellationToken,
) where
    F: Fn(SocketAddr) -> (S, Arc<dyn Traffic>),
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let tasks = TaskTracker::new();
    let kill = CancellationToken::new();
    loop {
        let next = tokio::select! {
            next = accept(&listener, &places) => next,
            () = stop.cancelled() => break,
        };
        let Some((stream, peer, place)) = next else {
            continue;
        };
        let (service, traffic) = connect(peer);
        let connection = Connection {
            acceptor: acceptor.clone(),
            bounds,
            window: window(bounds.connections_max - places.available_permits()),
            service,
            traffic,
            stop: stop.clone(),
        };
        let kill = kill.clone();
        let span = tracing::debug_span!("connection", %peer);
        tasks.spawn(
            async move {
                let _place = place;
                tokio::select! {
                    () = connection.serve(stream) => {}
                    () = kill.cancelled() => tracing::debug!("cut at the end of the drain"),
                }
            }
            .instrument(span),
        );
    }
    drop(listener);
    tasks.close();
    if timeout(bounds.drain, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "some calls did not finish in time");
        kill.cancel();
        tasks.wait().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // At the cap newcomers wait in the kernel's queue; idle connections make room for them.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) if is_about_the_peer(&error) => None,
        Err(error) => {
            tracing::warn!(%error, "connections cannot be accepted");
            sleep(STARVED).await;
            None
        }
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// The receive window of a new connection, with which there are so many.
fn window(connections: usize) -> u32 {
    let smaller = SMALLER_WINDOWS.iter().rev().find(|(from, _)| connections > *from);
    smaller.map_or(CONNECTION_WINDOW_BYTES, |(_, bytes)| *bytes)
}

struct Connection<S> {
    acceptor: TlsAcceptor,
    bounds: Bounds,
    window: u32,
    service: S,
    traffic: Arc<dyn Traffic>,
    stop: CancellationToken,
}

impl<S> Connection<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    async fn serve(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection was gone");
            return;
        }
        let written = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&written);
        let count = move |bytes: &[u8]| {
            counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        };
        let stream = InspectWriter::new(stream, count);
        let stream = match timeout(self.bounds.handshake, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!("the handshake took too long");
                return;
            }
        };
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            tracing::debug!("the client does not speak HTTP/2");
            return;
        }
        let service = TowerToHyperService::new(self.service.clone());
        let connection =
            http2(&self.bounds, self.window).serve_connection(TokioIo::new(stream), service);
        self.watch(connection, &written).await;
    }

    /// Drives a connection until it ends by itself, must end, or the server stops.
    async fn watch(self, connection: impl Graceful, written: &AtomicU64) {
        let mut connection = Box::pin(connection);
        let accepted = Instant::now();
        let mut moved = Moved { at: accepted, bytes: 0 };
        let mut look = interval(LOOKED_AT.min(self.bounds.stall));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leaving: Option<Instant> = None;
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "the connection broke");
                    }
                    return;
                }
                () = self.stop.cancelled(), if leaving.is_none() => {
                    connection.as_mut().leave();
                    leaving = Some(Instant::now());
                }
                _ = look.tick() => {
                    moved.look(written.load(Ordering::Relaxed), Instant::now());
                    let stands_still = moved.at.elapsed() > self.bounds.stall;
                    if stands_still && self.traffic.stalled(self.bounds.stall) {
                        tracing::debug!("an answer was not read; the connection is cut");
                        return;
                    }
                    let unused = !self.traffic.begun()
                        && accepted.elapsed() > self.bounds.first_request;
                    let idle = self.traffic.idle().is_some_and(|idle| idle > self.bounds.idle);
                    if (unused || idle) && leaving.is_none() {
                        connection.as_mut().leave();
                        leaving = Some(Instant::now());
                    }
                    // One that was told to go and has no call left has had its time.
                    let quiet = self.traffic.idle().is_some_and(|idle| idle > LOOKED_AT)
                        || !self.traffic.begun();
                    if quiet && leaving.is_some_and(|since| since.elapsed() > LOOKED_AT) {
                        return;
                    }
                }
            }
        }
    }
}

/// When a connection had last carried enough to be alive.
struct Moved {
    at: Instant,
    bytes: u64,
}

impl Moved {
    fn look(&mut self, written: u64, now: Instant) {
        if written - self.bytes >= MOVING_BYTES {
            *self = Self { at: now, bytes: written };
        }
    }
}

/// A connection that can be told to take no more calls.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn leave(self: std::pin::Pin<&mut Self>);
}

impl<I, S> Graceful for http2::Connection<I, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    TokioExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, Body>,
{
    fn leave(self: std::pin::Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

fn http2(bounds: &Bounds, window: u32) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(window)
        .max_frame_size(FRAME_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_concurrent_streams(bounds.streams_max)
        .max_header_list_size(bounds.header_bytes_max)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWERED);
    builder
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CONNECTION_WINDOW_BYTES, Instant, MOVING_BYTES, Moved, window};

    #[test]
    fn many_connections_together_have_no_more_in_flight_than_memory_has_room_for() {
        assert_eq!([window(1), window(16)], [CONNECTION_WINDOW_BYTES; 2]);
        assert_eq!([window(17), window(64), window(65)], [8 << 20, 8 << 20, 1 << 20]);
        let all: u64 = (1..=1_024).map(|connections| u64::from(window(connections))).sum();
        assert!(all < 2 << 30, "{all}");
    }

    #[test]
    fn a_connection_moves_when_it_carries_enough_and_not_a_byte_less() {
        let begun = Instant::now();
        let later = begun + Duration::from_secs(60);
        let mut moved = Moved { at: begun, bytes: 0 };
        moved.look(MOVING_BYTES - 1, later);
        assert_eq!(moved.at, begun);
        moved.look(MOVING_BYTES, later);
        assert_eq!(moved.at, later);
        moved.look(2 * MOVING_BYTES - 1, later + Duration::from_secs(60));
        assert_eq!(moved.at, later, "what was carried before does not count again");
    }
}
