//! Each call from its first byte to its last: its request id, its span, its deadline, and what it did.
//!
//! Deadlines cover bodies. A unary call ends in its time whatever the other side does; a stream ends
//! when nothing has moved for too long, whichever side it waits for.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::error::{Error, Kind};
use crate::rpc::access::{Access, Shape, rule};
use crate::rpc::calls::{Calls, Open};
use crate::rpc::status::status;

tokio::task_local! {
    /// The id of the call that is being worked on.
    pub(super) static REQUEST_ID: Uuid;
}

/// Names and times the calls of one connection.
#[derive(Clone)]
pub struct CallLayer {
    calls: Arc<Calls>,
    unary: Duration,
    stall: Duration,
}

impl CallLayer {
    /// Unary calls end after `unary`, streams after nothing has come in for `stall`.
    pub fn new(calls: Arc<Calls>, unary: Duration, stall: Duration) -> Self {
        Self { calls, unary, stall }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { layer: self.clone(), inner }
    }
}

/// See [`CallLayer`].
#[derive(Clone)]
pub struct CallService<S> {
    layer: CallLayer,
    inner: S,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S, B> Service<Request<B>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Answer<S::Error> {
        let id = Uuid::now_v7();
        let path = request.uri().path().to_owned();
        let (peer, account) = (self.layer.calls.peer(), tracing::field::Empty);
        let span = tracing::info_span!("call", %path, request_id = %id, %peer, account);
        let (access, shape) = rule(&path).unwrap_or((Access::Public, Shape::Unary));
        // Nobody keeps a connection, or a server that stops, by a stream that needs no token.
        let counts = (access, shape) != (Access::Public, Shape::Stream);
        let open = Some(self.layer.calls.begin()).filter(|_| counts);
        let limit = limit(shape, self.layer.unary, request.headers());
        let stall = self.layer.stall;
        let request = request.map(|body| Body::new(IncomingBody { body, stall, timer: None }));
        // The service that was polled ready takes the call; its clone waits for the next one.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let began = Instant::now();
        let entered = span.clone();
        let work = async move {
            let call = REQUEST_ID.scope(id, inner.call(request));
            let response = match limit {
                None => call.await?,
                Some(limit) => match tokio::time::timeout(limit, call).await {
                    Ok(response) => response?,
                    Err(_) => late("the call took too long").into_http(),
                },
            };
            Ok(answered(response, Outgoing { id, span: entered, open, began, logged: false }))
        };
        Box::pin(work.instrument(span))
    }
}

/// Does what shall come to its end although the connection breaks: then the call is dropped, and what it
/// was in the middle of with it.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let id = REQUEST_ID.try_with(|id| *id).unwrap_or_default();
    let task = tokio::spawn(REQUEST_ID.scope(id, work).in_current_span());
    task.await.unwrap_or_else(|error| Err(status(Error::internal("call", error))))
}

fn late(message: &'static str) -> Status {
    status(Error::new(Kind::DeadlineExceeded, message))
}

/// The shorter of our own deadline and the caller's.
fn limit(shape: Shape, unary: Duration, headers: &HeaderMap) -> Option<Duration> {
    let own = (shape == Shape::Unary).then_some(unary);
    let asked = headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?));
    match (own, asked) {
        (Some(own), Some(asked)) => Some(own.min(asked)),
        (own, asked) => own.or(asked),
    }
}

/// As the gRPC protocol has it: at most eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

fn answered(mut response: Response<Body>, outgoing: Outgoing) -> Response<Body> {
    if let Ok(id) = HeaderValue::try_from(outgoing.id.to_string()) {
        response.headers_mut().insert("x-request-id", id);
    }
    let mut outgoing = outgoing;
    outgoing.log(response.headers());
    response.map(|body| Body::new(OutgoingBody { body, outgoing }))
}

/// A request's body that ends in an error when nothing comes for too long.
struct IncomingBody<B> {
    body: B,
    stall: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> HttpBody for IncomingBody<B>
where
    B: HttpBody<Data = bytes::Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.timer = None;
            let broken = |error: B::Error| Status::from_error(error.into());
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        let stall = self.stall;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(late("nothing was sent for too long"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is known of a call while its answer leaves.
struct Outgoing {
    id: Uuid,
    span: Span,
    open: Option<Open>,
    began: Instant,
    logged: bool,
}

impl Outgoing {
    fn log(&mut self, headers: &HeaderMap) {
        if self.logged {
            return;
        }
        let Some(code) = headers.get("grpc-status") else {
            return;
        };
        self.logged = true;
        let code = Code::from_bytes(code.as_bytes());
        let elapsed_ms = self.began.elapsed().as_millis();
        self.span.in_scope(|| tracing::debug!(?code, elapsed_ms, "answered"));
    }
}

/// A response's body that says how it goes.
struct OutgoingBody {
    body: Body,
    outgoing: Outgoing,
}

impl HttpBody for OutgoingBody {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let Self { body, outgoing } = self.get_mut();
        let polled = REQUEST_ID.sync_scope(outgoing.id, || {
            let _entered = outgoing.span.enter();
            Pin::new(body).poll_frame(cx)
        });
        match &polled {
            Poll::Pending => outgoing.open.iter().for_each(Open::waiting_for_us),
            Poll::Ready(Some(Ok(frame))) => {
                outgoing.open.iter().for_each(Open::handed_over);
                if let Some(trailers) = frame.trailers_ref() {
                    outgoing.log(trailers);
                }
            }
            Poll::Ready(_) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::timeout;

    #[test]
    fn deadlines_are_read_as_the_protocol_writes_them() {
        assert_eq!(timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(timeout("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        for text in ["", "S", "5", "5s", "999999999S", "-1S", "5 S", "ä"] {
            assert_eq!(timeout(text), None, "{text:?}");
        }
    }
}
