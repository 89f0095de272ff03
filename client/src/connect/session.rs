//! A connection to the server under one account: the channels, the token on every call, and the calls
//! made again where that is safe.
//!
//! The first channel carries the small calls; bulk data goes over all of them in turn, because one
//! HTTP/2 connection is about one core.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use depot_proto::admin::admin_service_client::AdminServiceClient;
use depot_proto::auth::auth_service_client::AuthServiceClient;
use depot_proto::auth::groups_service_client::GroupsServiceClient;
use depot_proto::auth::{ServerInfoRequest, ServerInfoResponse, WhoAmIRequest};
use depot_proto::changes::changes_service_client::ChangesServiceClient;
use depot_proto::files::files_service_client::FilesServiceClient;
use depot_proto::files::history_service_client::HistoryServiceClient;
use depot_proto::files::sharing_service_client::SharingServiceClient;
use depot_proto::mail::mail_service_client::MailServiceClient;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::keeper::Keeper;
use super::pace::{Pace, Timetable};
use super::patience::Outage;
use super::{Address, Dialer, Patience, Repeat};
use crate::error::{Error, Exit, Result};
use crate::output::Output;

/// Bytes in flight that the server may send unread, per stream and per connection; they decide the rate over
/// long distances. What that takes in memory is bounded by what is asked for.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// The largest frame we take: a data message of 508 KiB is then two whole frames.
const FRAME_BYTES_MAX: u32 = 262_135;

/// The largest message we take: a full page of a list with the longest paths.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Less than this of a file is never sent or asked for at once, however slow it is to go.
const STRIDE_BYTES_MIN: u64 = 16 << 10;

/// A server that is silent for this long while we wait is asked whether it is still there, and given up
/// after the same time again.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A channel whose calls carry the token.
pub(crate) type Authorized = InterceptedService<Channel, Bearer>;

/// One server, as one account.
#[derive(Clone)]
pub(crate) struct Session(Arc<Inner>);

struct Inner {
    address: Address,
    account: Option<String>,
    channels: Vec<Channel>,
    turn: AtomicUsize,
    /// Whether all of them have been told to connect.
    are_connected: AtomicBool,
    bearer: Bearer,
    keeper: Option<Keeper>,
    retry_for: Duration,
    outage: Option<Arc<Outage>>,
    pace: Option<Pace>,
}

/// What a session is opened with.
pub(crate) struct Opening {
    pub(crate) address: Address,
    pub(crate) account: Option<String>,
    pub(crate) dialer: Dialer,
    pub(crate) token: Option<SecretString>,
    /// Renews the token; none where the token came from elsewhere.
    pub(crate) keeper: Option<Keeper>,
    pub(crate) connections: usize,
    pub(crate) retry_for: Duration,
    /// How fast the bytes of files may go; none where as fast as they can.
    pub(crate) bwlimit: Option<Timetable>,
    /// Where it is said that the connection is lost.
    pub(crate) output: Option<Arc<Output>>,
}

impl Session {
    /// Nothing is dialed before the first call.
    pub(crate) fn open(opening: Opening) -> Result<Self> {
        let channels = (0..opening.connections.max(1))
            .map(|_| channel(&opening.address, &opening.dialer))
            .collect::<Result<_>>()?;
        let bearer = Bearer::default();
        if let Some(token) = &opening.token {
            bearer.set(token)?;
        }
        Ok(Self(Arc::new(Inner {
            address: opening.address,
            account: opening.account,
            channels,
            turn: AtomicUsize::new(0),
            are_connected: AtomicBool::new(false),
            bearer,
            keeper: opening.keeper,
            retry_for: opening.retry_for,
            outage: opening.output.map(Outage::new),
            pace: opening.bwlimit.map(Pace::new),
        })))
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0.address
    }

    /// The name of the account that calls, if it is known without asking; else nothing.
    pub(crate) fn known_account(&self) -> &str {
        self.0.account.as_deref().unwrap_or_default()
    }

    /// The name of the account that calls.
    pub(crate) async fn account(&self) -> Result<String> {
        match &self.0.account {
            Some(account) => Ok(account.clone()),
            None => {
                let asked = self.call(Repeat::Always, || async {
                    self.auth().who_am_i(WhoAmIRequest {}).await
                });
                Ok(asked.await?.account)
            }
        }
    }

    /// What this server can take, and how it cuts contents.
    pub(crate) async fn server_info(&self) -> Result<ServerInfoResponse> {
        self.call(Repeat::Always, || async { self.auth().server_info(ServerInfoRequest {}).await })
            .await
    }

    /// Makes the connections that bulk data will go over, while something else is asked for.
    pub(crate) fn connect_all(&self) {
        if self.0.are_connected.swap(true, Ordering::Relaxed) {
            return;
        }
        for channel in self.0.channels.iter().skip(1) {
            let mut auth = AuthServiceClient::new(channel.clone());
            // Whoever needs it is told what is wrong with it.
            tokio::spawn(async move { drop(auth.server_info(ServerInfoRequest {}).await) });
        }
    }

    /// How many connections bulk data is spread over.
    pub(crate) fn connections(&self) -> usize {
        self.0.channels.len()
    }

    /// Returns when these bytes of files may go, either way.
    pub(crate) async fn paced(&self, bytes: u64) {
        if let Some(pace) = &self.0.pace {
            pace.take(bytes).await;
        }
    }

    /// At most `bytes`, and no more of files at once than the pace allows.
    pub(crate) fn stride(&self, bytes: u64) -> u64 {
        self.0.pace.as_ref().map_or(bytes, |pace| pace.stride().clamp(STRIDE_BYTES_MIN, bytes))
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Authorized> {
        AuthServiceClient::new(self.first()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn admin(&self) -> AdminServiceClient<Authorized> {
        AdminServiceClient::new(self.first()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn files(&self) -> FilesServiceClient<Authorized> {
        FilesServiceClient::new(self.first()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn groups(&self) -> GroupsServiceClient<Authorized> {
        GroupsServiceClient::new(self.first()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn history(&self) -> HistoryServiceClient<Authorized> {
        HistoryServiceClient::new(self.first()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn sharing(&self) -> SharingServiceClient<Authorized> {
        SharingServiceClient::new(self.first()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn mail(&self) -> MailServiceClient<Authorized> {
        MailServiceClient::new(self.first()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn changes(&self) -> ChangesServiceClient<Authorized> {
        ChangesServiceClient::new(self.first()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// For bulk data: each call goes over the next connection.
    pub(crate) fn bulk(&self) -> FilesServiceClient<Authorized> {
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed) % self.0.channels.len();
        let channel = self.0.channels[turn].clone();
        FilesServiceClient::with_interceptor(channel, self.0.bearer.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Calls until there is an answer, as far as that is safe and there is time.
    pub(crate) async fn call<T, F, Fut>(&self, repeat: Repeat, mut op: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut patience = self.patience();
        loop {
            match op().await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => {
                    let error = Error::from(status);
                    if repeat == Repeat::Unsent && error.is_temporary() && !error.is_unsent() {
                        return Err(error);
                    }
                    self.recover(error, &mut patience).await?;
                }
            }
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience::telling(self.0.retry_for, self.0.outage.clone())
    }

    /// Returns when the call may be made again: the token is fresh, or the time for it has come.
    pub(crate) async fn recover(&self, error: Error, patience: &mut Patience) -> Result<()> {
        match &self.0.keeper {
            Some(keeper) if error.exit() == Exit::Unauthenticated && !patience.refreshed => {
                patience.refreshed = true;
                let fresh = keeper.renew(self).await?;
                self.0.bearer.set(&fresh)
            }
            _ => patience.wait(error).await,
        }
    }

    /// Renews a token that is about to expire, before it is used.
    pub(crate) async fn renew(&self) -> Result<()> {
        if let Some(keeper) = &self.0.keeper {
            self.0.bearer.set(&keeper.renew(self).await?)?;
        }
        Ok(())
    }

    fn first(&self) -> Authorized {
        InterceptedService::new(self.0.channels[0].clone(), self.0.bearer.clone())
    }
}

fn channel(address: &Address, dialer: &Dialer) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("https://{address}"))
        .and_then(|endpoint| endpoint.user_agent(concat!("depot/", env!("CARGO_PKG_VERSION"))))
        .map_err(|_| Error::usage(format!("`{address}` is no server")))?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    let dialer = dialer.clone();
    Ok(endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
        let dialer = dialer.clone();
        async move { dialer.dial().await }
    })))
}

/// Puts the token on each call.
#[derive(Clone, Default)]
pub(crate) struct Bearer(Arc<RwLock<Option<MetadataValue<Ascii>>>>);

impl Bearer {
    fn set(&self, token: &SecretString) -> Result<()> {
        let text = format!("Bearer {}", token.expose_secret());
        let mut value: MetadataValue<Ascii> = text.parse().map_err(|_| {
            Error::new(
                Exit::Unauthenticated,
                "BAD_TOKEN",
                "the token holds characters that no token has",
            )
        })?;
        value.set_sensitive(true);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}
