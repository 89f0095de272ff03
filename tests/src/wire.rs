//! A connection to a server that is trusted by its authority's certificate, as fast as this machine makes it:
//! the measurements' other end, and the tests' way past the client.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tonic::transport::{Channel, Endpoint};

/// Bytes of an HTTP/2 frame: sixteen TLS records, less what their frame header takes.
pub const FRAME_BYTES: u32 = 262_135;
/// Bytes a stream may be ahead of its reader.
pub const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Bytes a connection may be ahead of its readers.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// rustls asks for 4 KiB at a time; this many are read ahead for it in one system call.
pub const READ_AHEAD_BYTES: usize = 64 << 10;

/// Connects to `localhost` at an address, trusting what `authority` (PEM) signed.
///
/// # Errors
///
/// Whatever keeps the connection from being made.
pub async fn connect(address: SocketAddr, authority: &[u8]) -> io::Result<Channel> {
    let tls = TlsConnector::from(Arc::new(client_tls(authority)?));
    let dial = move |_| {
        let tls = tls.clone();
        async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            let tcp = BufReader::with_capacity(READ_AHEAD_BYTES, tcp);
            Ok::<_, io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
        }
    };
    // Our connector speaks TLS; `http` keeps tonic from wanting one of its own.
    Endpoint::from_static("http://localhost")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .connect_with_connector(tower::service_fn(dial))
        .await
        .map_err(io::Error::other)
}

fn client_tls(authority: &[u8]) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
