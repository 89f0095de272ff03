//! The near end: streams and calls with nothing behind them.

use bytes::Bytes;
use depot_proto::files::{
    ReadRequest, ReadResponse, WriteRequest, WriteResponse, read_response, write_request,
};
use depot_proto::mail::{SendRequest, SendResponse};
use futures_util::stream;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// Data in one message of a stream.
pub(crate) const MESSAGE_BYTES: usize = 512 << 10;

/// A message as the measurements of mail send it.
const BODY_BYTES: usize = 4 << 10;

/// One stream of so many bytes to the server.
pub(crate) async fn up(channel: Channel, bytes: u64) -> Result<(), Status> {
    let mut grpc = ready(channel).await?;
    let part = write_request::Part::Data(Bytes::from(vec![0x5a; MESSAGE_BYTES]));
    let count = usize::try_from(bytes.div_ceil(MESSAGE_BYTES as u64)).unwrap_or(usize::MAX);
    let parts = std::iter::repeat_n(WriteRequest { part: Some(part) }, count);
    let request = Request::new(stream::iter(parts));
    let codec = ProstCodec::<WriteRequest, WriteResponse>::default();
    let path = PathAndQuery::from_static("/bare/up");
    grpc.client_streaming(request, path, codec).await.map(drop)
}

/// One stream of so many bytes from the server.
pub(crate) async fn down(channel: Channel, bytes: u64) -> Result<(), Status> {
    let mut grpc = ready(channel).await?;
    let request = Request::new(ReadRequest { length: Some(bytes), ..ReadRequest::default() });
    let codec = ProstCodec::<ReadRequest, ReadResponse>::default();
    let path = PathAndQuery::from_static("/bare/down");
    let mut parts = grpc.server_streaming(request, path, codec).await?.into_inner();
    let mut received = 0;
    while let Some(ReadResponse { part: Some(read_response::Part::Data(data)) }) =
        parts.message().await?
    {
        received += data.len() as u64;
    }
    if received < bytes {
        return Err(Status::data_loss(format!("{received} of {bytes} bytes")));
    }
    Ok(())
}

/// So many calls, one after the other.
pub(crate) async fn unary(channel: Channel, calls: u64) -> Result<(), Status> {
    let mut grpc = ready(channel).await?;
    let message = SendRequest { body: "x".repeat(BODY_BYTES), ..SendRequest::default() };
    for _ in 0..calls {
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec = ProstCodec::<SendRequest, SendResponse>::default();
        let path = PathAndQuery::from_static("/bare/unary");
        grpc.unary(Request::new(message.clone()), path, codec).await?;
    }
    Ok(())
}

async fn ready(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    Ok(grpc)
}
