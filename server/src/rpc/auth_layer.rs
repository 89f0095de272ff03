//! Judges the token before the body is read. What has no rule does not run; a bad token is
//! UNAUTHENTICATED and never counts as a guessed password.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::accounts::Accounts;
use crate::error::{Error, Kind, Result};
use crate::model::Caller;
use crate::rpc::access::{Access, rule};
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
            let Some((access, _)) = rule(request.uri().path()) else {
                return Ok(Status::unimplemented("this server has no such call").into_http());
            };
            match judge(&accounts, access, request.headers()).await {
                Ok(caller) => {
                    request.extensions_mut().extend(caller);
                    inner.call(request).await
                }
                Err(error) => Ok(status(error).into_http()),
            }
        })
    }
}

async fn judge(
    accounts: &Accounts,
    access: Access,
    headers: &HeaderMap,
) -> Result<http::Extensions> {
    let mut extensions = http::Extensions::new();
    if access == Access::Public {
        return Ok(extensions);
    }
    let caller = accounts.authenticate(bearer(headers)?).await?;
    tracing::Span::current().record("account", caller.name.as_str());
    if access == Access::Admin && !caller.admin {
        return Err(Error::new(Kind::PermissionDenied, "only administrators may do this"));
    }
    extensions.insert(caller);
    Ok(extensions)
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
    request.extensions().get::<Caller>().cloned().ok_or_else(|| {
        // Only a public call gets here without one.
        status(Error::new(Kind::Unauthenticated, "this call needs a token"))
    })
}
