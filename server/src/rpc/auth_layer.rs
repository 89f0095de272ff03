//! Judges the token before the body is read. What has no rule does not run; a bad token is
//! UNAUTHENTICATED and never counts as a guessed password.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::accounts::Accounts;
use crate::error::{Error, Kind, Result};
use crate::model::{Caller, Reader};
use crate::rpc::access::{Access, Shape, rule};
use crate::rpc::status::status;

/// Puts the caller of a request into its extensions, or refuses it.
#[derive(Clone)]
pub struct AuthLayer {
    accounts: Arc<Accounts>,
}

impl AuthLayer {
    /// Judges by these accounts.
    pub fn new(accounts: Arc<Accounts>) -> Self {
        Self { accounts }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { accounts: Arc::clone(&self.accounts), inner }
    }
}

/// See [`AuthLayer`].
#[derive(Clone)]
pub struct AuthService<S> {
    accounts: Arc<Accounts>,
    inner: S,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for AuthService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer<S::Error> {
        let accounts = Arc::clone(&self.accounts);
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let Some((access, shape)) = rule(request.uri().path()) else {
                return Ok(Status::unimplemented("this server has no such call").into_http());
            };
            let epoch = accounts.epoch();
            let caller = match judge(&accounts, access, request.headers()).await {
                Ok(Some(Reader::Account(caller))) => caller,
                Ok(Some(visitor)) => {
                    // What a visitor reads ends with the link, which is looked for where it is read.
                    request.extensions_mut().insert(visitor);
                    return inner.call(request).await;
                }
                Ok(None) => return inner.call(request).await,
                Err(error) => return Ok(status(error).into_http()),
            };
            request.extensions_mut().insert(Reader::Account(caller.clone()));
            match shape {
                Shape::Unary => inner.call(request).await,
                Shape::Stream => {
                    let ended = async move { status(accounts.login_ended(&caller, epoch).await) };
                    while_logged_in(Box::pin(ended), inner.call(request)).await
                }
            }
        })
    }
}

async fn judge(accounts: &Accounts, access: Access, headers: &HeaderMap) -> Result<Option<Reader>> {
    if access == Access::Public {
        return Ok(None);
    }
    let token = bearer(headers)?;
    if access == Access::Visitor
        && let Some(visitor) = accounts.visitor(token).await?
    {
        return Ok(Some(Reader::Visitor(visitor)));
    }
    let caller = accounts.authenticate(token).await?;
    tracing::Span::current().record("account", caller.name.as_str());
    if access == Access::Admin && !caller.admin {
        return Err(Error::new(Kind::PermissionDenied, "only administrators may do this"));
    }
    Ok(Some(Reader::Account(caller)))
}

/// Resolves when the login has ended.
type Ended = Pin<Box<dyn Future<Output = Status> + Send>>;

/// A stream ends with its login, whichever part of it is under way.
async fn while_logged_in<E>(
    mut ended: Ended,
    call: impl Future<Output = Result<Response<Body>, E>>,
) -> Result<Response<Body>, E> {
    tokio::select! {
        answer = call => Ok(answer?.map(|body| Body::new(Guarded { body, ended: Some(ended) }))),
        status = &mut ended => Ok(status.into_http()),
    }
}

/// The answer of a stream; `ended` is gone when that has been said.
struct Guarded {
    body: Body,
    ended: Option<Ended>,
}

impl HttpBody for Guarded {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let Some(ended) = &mut self.ended else {
            return Poll::Ready(None);
        };
        // Asked first: an answer that always has more would never let it be asked.
        if let Poll::Ready(status) = ended.as_mut().poll(cx) {
            self.ended = None;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(match status.add_header(&mut trailers) {
                Ok(()) => Ok(Frame::trailers(trailers)),
                Err(_) => Err(status),
            }));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.ended.is_none() || self.body.is_end_stream()
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str> {
    let value = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| {
        // RFC 9110, 11.1: schemes are compared without case.
        scheme.eq_ignore_ascii_case("bearer")
    });
    token.map(|(_, token)| token.trim()).ok_or_else(|| {
        let message = "this call needs a token: log in and send `authorization: Bearer <token>`";
        Error::new(Kind::Unauthenticated, message)
    })
}

/// The caller that the layer found.
pub(super) fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    match request.extensions().get::<Reader>() {
        Some(Reader::Account(caller)) => Ok(caller.clone()),
        // Only a public call gets here without one, and only one that is for visitors too with theirs.
        _ => Err(status(Error::new(Kind::Unauthenticated, "this call needs an account's token"))),
    }
}

/// Who reads: the caller that the layer found, or whoever holds a link.
pub(super) fn reader<T>(request: &tonic::Request<T>) -> Result<Reader, Status> {
    request
        .extensions()
        .get::<Reader>()
        .cloned()
        .ok_or_else(|| status(Error::new(Kind::Unauthenticated, "this call needs a token")))
}
