//! bench-delay: a line to a server that is far away. What goes in comes out so much later and just as fast: bytes
//! are taken as they come and held until they are due. A connection begins with the round trip that TCP takes to
//! connect; beyond that only the line is slow, the kernels at its ends know nothing of it.
//! Prints the address where it listens, and carries until its standard input ends: with whoever started it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clap::Parser;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

/// Bytes that are taken at once.
const PIECE_BYTES: u32 = 256 << 10;
/// Bytes on their way in one direction of one connection: what a line of 40 Gbit/s holds in 50 ms.
const HELD_BYTES_MAX: usize = 256 << 20;

/// A line to a server that is far away.
#[derive(Parser)]
struct Arguments {
    /// The server's address.
    #[arg(long)]
    to: SocketAddr,
    /// Milliseconds from one end to the other.
    #[arg(long)]
    one_way_ms: u64,
}

/// Bytes on their way.
struct Piece {
    bytes: Bytes,
    due: Instant,
    _room: OwnedSemaphorePermit,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let one_way = Duration::from_millis(arguments.one_way_ms);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    report(listener.local_addr()?);
    let input = spawn_blocking(|| io::copy(&mut io::stdin().lock(), &mut io::sink()));
    tokio::select! {
        failed = listen(listener, arguments.to, one_way) => failed,
        ended = input => ended?.map(drop),
    }
}

#[expect(clippy::print_stdout, reason = "whoever starts it must know where it listens")]
fn report(address: SocketAddr) {
    println!("{address}");
}

async fn listen(listener: TcpListener, to: SocketAddr, one_way: Duration) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(connection(client, to, one_way));
    }
}

async fn connection(client: TcpStream, to: SocketAddr, one_way: Duration) -> io::Result<()> {
    sleep(2 * one_way).await;
    let server = TcpStream::connect(to).await?;
    for side in [&client, &server] {
        side.set_nodelay(true)?;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::spawn(carry(from_client, to_server, one_way));
    carry(from_server, to_client, one_way).await
}

/// Carries one direction until it ends.
async fn carry(
    from: impl AsyncRead + Unpin + Send + 'static,
    to: impl AsyncWrite + Unpin,
    one_way: Duration,
) -> io::Result<()> {
    let (pieces, arriving) = unbounded_channel();
    tokio::spawn(take(from, pieces, one_way));
    give(to, arriving).await
}

/// Reads on while others are on their way, which is what makes it a long line and not a slow one.
async fn take(
    mut from: impl AsyncRead + Unpin,
    pieces: UnboundedSender<Piece>,
    one_way: Duration,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(HELD_BYTES_MAX));
    let mut buffer = BytesMut::new();
    loop {
        let mut taken =
            room.clone().acquire_many_owned(PIECE_BYTES).await.map_err(io::Error::other)?;
        buffer.reserve(PIECE_BYTES as usize);
        let read = (&mut from).take(PIECE_BYTES.into()).read_buf(&mut buffer).await?;
        let due = Instant::now() + one_way;
        let Some(room) = taken.split(read).filter(|_| read > 0) else { return Ok(()) };
        let piece = Piece { bytes: buffer.split().freeze(), due, _room: room };
        if pieces.send(piece).is_err() {
            return Ok(());
        }
    }
}

async fn give(
    mut to: impl AsyncWrite + Unpin,
    mut arriving: UnboundedReceiver<Piece>,
) -> io::Result<()> {
    while let Some(piece) = arriving.recv().await {
        sleep_until(piece.due).await;
        to.write_all(&piece.bytes).await?;
    }
    to.shutdown().await
}
