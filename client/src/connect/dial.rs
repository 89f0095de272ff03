//! Makes one connection: TCP without delay, TLS 1.3 with ALPN h2, and a read buffer beneath TLS, because
//! rustls asks for 4 KiB at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Address;
use super::verify::Verifier;
use crate::error::{Error, Result, io_text};

/// A connection and its handshake take no longer.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Bytes read from the socket at once. More is no faster (measured 8 to 256 KiB).
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// What HTTP/2 runs over.
pub(crate) type Connection = TokioIo<TlsStream<BufReader<TcpStream>>>;

/// Connects to one server that it knows how to recognise.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Inner>);

struct Inner {
    address: Address,
    verifier: Arc<Verifier>,
    connector: TlsConnector,
}

impl Dialer {
    /// Trusts servers whose certificate leads to one of `authorities`.
    pub(crate) fn new(address: Address, authorities: &[CertificateDer<'static>]) -> Result<Self> {
        let verifier = Verifier::of(provider(), authorities)?;
        Self::with(address, verifier)
    }

    fn with(address: Address, verifier: Verifier) -> Result<Self> {
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
        Ok(Self(Arc::new(Inner { address, verifier, connector })))
    }

    /// One connection, ready for HTTP/2.
    pub(crate) async fn dial(&self) -> Result<Connection> {
        match timeout(CONNECT_MAX, self.connect()).await {
            Ok(connection) => connection,
            Err(_) => Err(Error::unreachable(format!("{} does not answer", self.0.address))),
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let address = &self.0.address;
        let gone = |error: io::Error| {
            Error::unreachable(format!("cannot reach {address}: {}", io_text(&error)))
        };
        // Tries each address that the name has, in turn.
        let tcp = TcpStream::connect((address.host(), address.port())).await.map_err(gone)?;
        tcp.set_nodelay(true).map_err(gone)?;
        let buffered = BufReader::with_capacity(READ_BUFFER_BYTES, tcp);
        let tls = self.0.connector.connect(address.server_name()?, buffered).await;
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

/// The last certificate of the chain that the server presents. Nothing is sent that is secret, and
/// nothing is believed: the handshake is given up once the chain has been seen.
pub(crate) async fn probe(address: &Address) -> Result<CertificateDer<'static>> {
    let dialer = Dialer::with(address.clone(), Verifier::probe(provider()))?;
    let Err(error) = dialer.dial().await else {
        return Err(Error::bad_answer("a probe was taken for a connection"));
    };
    dialer.0.verifier.presented().ok_or(error)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
