//! The far end: an accept loop of its own over tokio-rustls, hyper's HTTP/2 and tonic's codec, and three calls
//! that do nothing with what they get.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use depot_proto::files::{ReadRequest, ReadResponse, WriteRequest, WriteResponse, read_response};
use depot_proto::mail::{SendRequest, SendResponse};
use depot_tests::wire::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES, READ_AHEAD_BYTES, STREAM_WINDOW_BYTES,
};
use futures_util::stream;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig};
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::client::MESSAGE_BYTES;

/// Where the far end listens, and the certificate (PEM) to trust it by.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) authority: Vec<u8>,
}

/// Serves until the process ends.
pub(crate) async fn listen() -> io::Result<Listening> {
    let (tls, authority) = server_tls().map_err(io::Error::other)?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(connection(acceptor.clone(), tcp));
        }
    });
    Ok(Listening { address, authority })
}

fn server_tls() -> Result<(ServerConfig, Vec<u8>), Box<dyn std::error::Error + Send + Sync>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((config, cert.pem().into_bytes()))
}

async fn connection(acceptor: TlsAcceptor, tcp: TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let tls = acceptor.accept(BufReader::with_capacity(READ_AHEAD_BYTES, tcp)).await?;
    http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .serve_connection(
            TokioIo::new(tls),
            service_fn(|request| async { Ok::<_, Infallible>(route(request).await) }),
        )
        .await
        .map_err(io::Error::other)
}

async fn route(request: http::Request<Incoming>) -> http::Response<Body> {
    match request.uri().path() {
        "/bare/up" => {
            let mut grpc = Grpc::new(ProstCodec::<WriteResponse, WriteRequest>::default());
            grpc.client_streaming(tower::service_fn(up), request).await
        }
        "/bare/down" => {
            let mut grpc = Grpc::new(ProstCodec::<ReadResponse, ReadRequest>::default());
            grpc.server_streaming(tower::service_fn(down), request).await
        }
        _ => {
            let mut grpc = Grpc::new(ProstCodec::<SendResponse, SendRequest>::default());
            grpc.unary(tower::service_fn(unary), request).await
        }
    }
}

async fn up(request: Request<Streaming<WriteRequest>>) -> Result<Response<WriteResponse>, Status> {
    let mut parts = request.into_inner();
    while parts.message().await?.is_some() {}
    Ok(Response::new(WriteResponse::default()))
}

type Parts = stream::Iter<std::iter::RepeatN<Result<ReadResponse, Status>>>;

async fn down(request: Request<ReadRequest>) -> Result<Response<Parts>, Status> {
    let count = request.get_ref().length().div_ceil(MESSAGE_BYTES as u64);
    let data = Bytes::from(vec![0x5a; MESSAGE_BYTES]);
    let part = ReadResponse { part: Some(read_response::Part::Data(data)) };
    let parts = std::iter::repeat_n(Ok(part), usize::try_from(count).unwrap_or(usize::MAX));
    Ok(Response::new(stream::iter(parts)))
}

async fn unary(_: Request<SendRequest>) -> Result<Response<SendResponse>, Status> {
    Ok(Response::new(SendResponse::default()))
}
