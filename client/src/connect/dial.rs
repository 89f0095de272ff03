//! Makes one connection: TCP without delay, TLS 1.3 with ALPN h2. There is no read buffer beneath TLS: rustls
//! asks for 4 KiB at a time, and asking for more gained nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Address;
use super::verify::Verifier;
use crate::error::{Error, Result, io_text};

/// A connection and its handshake take no longer, and are given at least as long as a far server needs,
/// however little patience there is.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const CONNECT_MIN: Duration = Duration::from_secs(3);

/// What HTTP/2 runs over.
pub(crate) type Connection = TokioIo<TlsStream<TcpStream>>;

/// Connects to one server that it knows how to recognise.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Inner>);

struct Inner {
    address: Address,
    verifier: Arc<Verifier>,
    connector: TlsConnector,
    retry_for: Duration,
    /// When the first of the tries began that have failed since the last connection.
    failing_since: Mutex<Option<Instant>>,
}

impl Dialer {
    /// Trusts servers whose certificate leads to one of `authorities`. A server that does not answer is
    /// waited for no longer than `retry_for`, all tries together.
    pub(crate) fn new(
        address: Address,
        authorities: &[CertificateDer<'static>],
        retry_for: Duration,
    ) -> Result<Self> {
        let verifier = Verifier::of(provider(), authorities)?;
        Self::with(address, verifier, retry_for)
    }

    fn with(address: Address, verifier: Verifier, retry_for: Duration) -> Result<Self> {
        let verifier = Arc::new(verifier);
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| Error::io("set up TLS", &io::Error::other(error)))?;
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let failing_since = Mutex::default();
        Ok(Self(Arc::new(Inner { address, verifier, connector, retry_for, failing_since })))
    }

    /// One connection, ready for HTTP/2.
    pub(crate) async fn dial(&self) -> Result<Connection> {
        let began = Instant::now();
        let since = *self.failing_since().get_or_insert(began);
        let left = self.0.retry_for.saturating_sub(began.duration_since(since));
        let limit = left.clamp(CONNECT_MIN, CONNECT_MAX);
        let dialed = match timeout(limit, self.connect(limit)).await {
            Ok(dialed) => dialed,
            Err(_) => Err(Error::unreachable(format!("{} does not answer", self.0.address))),
        };
        if dialed.is_ok() {
            *self.failing_since() = None;
        }
        dialed.map_err(|error| error.after(began.elapsed()))
    }

    fn failing_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.failing_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, limit: Duration) -> Result<Connection> {
        let address = &self.0.address;
        let gone = |error: io::Error| {
            Error::unreachable(format!("cannot reach {address}: {}", io_text(&error)))
        };
        let found = lookup_host((address.host(), address.port())).await.map_err(gone)?;
        let tcp = first_of(&found.collect::<Vec<_>>(), limit).await.map_err(gone)?;
        tcp.set_nodelay(true).map_err(gone)?;
        let tls = self.0.connector.connect(address.server_name()?, tcp).await;
        tls.map(TokioIo::new).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: io::Error) -> Error {
        let address = &self.0.address;
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => self.0.verifier.explain(address, tls),
            None => {
                let message = format!("{address} ended the connection: {}", io_text(&error));
                Error::unreachable(message)
            }
        }
    }
}

/// Tries each address that a name has, in turn. One that swallows what is sent to it has its share of the
/// time, and leaves the others theirs.
async fn first_of(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer"),
        }
    }
    Err(last)
}

/// The last certificate of the chain that the server presents. Nothing is sent that is secret, and
/// nothing is believed: the handshake is given up once the chain has been seen.
pub(crate) async fn probe(
    address: &Address,
    retry_for: Duration,
) -> Result<CertificateDer<'static>> {
    let dialer = Dialer::with(address.clone(), Verifier::probe(provider()), retry_for)?;
    let Err(error) = dialer.dial().await else {
        return Err(Error::bad_answer("a probe was taken for a connection"));
    };
    dialer.0.verifier.presented().ok_or(error)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;

    use rustix::fd::OwnedFd;
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::first_of;

    /// A port whose queue is full: whoever connects to it is not answered at all.
    async fn black_hole() -> (SocketAddr, OwnedFd, Vec<TcpStream>) {
        let hole = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&hole, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&hole, 0).unwrap();
        let address = SocketAddr::try_from(getsockname(&hole).unwrap()).unwrap();
        let mut queued = Vec::new();
        let moment = Duration::from_millis(200);
        while let Ok(stream) = timeout(moment, TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
            assert!(queued.len() < 100, "it takes them all");
        }
        (address, hole, queued)
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_hides_no_other() {
        let (black, _hole, _queued) = black_hole().await;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let limit = Duration::from_secs(1);
        let tcp = first_of(&[black, there], limit).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there);
        assert!(first_of(&[black], limit).await.is_err());
        assert!(first_of(&[], limit).await.is_err());
    }
}
