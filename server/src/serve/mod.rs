//! Puts the rooms together and serves. `serve(listener, config, shutdown)` is what `main` and the tests
//! call: everything long-lived is passed in or made here, nothing is global.

mod data_dir;
mod jobs;
mod stores;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::accept::{self, Bounds, Traffic};
use crate::accounts::{Accounts, Lifetimes, SetupCode};
use crate::changes::Changes;
use crate::clock::Clock;
use crate::config::{Config, Store};
use crate::content::Contents;
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::mail::Mail;
use crate::model::Limits;
use crate::rpc::{Calls, Rooms, services};
use crate::tls::{Certificates, Origin, server_config};

pub use data_dir::{DataDir, Purpose};
pub use stores::Stores;

impl Traffic for Calls {
    fn begun(&self) -> bool {
        Self::begun(self)
    }

    fn idle(&self) -> Option<Duration> {
        Self::idle(self)
    }

    fn stalled(&self, limit: Duration) -> bool {
        Self::stalled(self, limit)
    }
}

/// A server that is ready: the listener is bound, the stores are open, the certificate is there.
pub struct Server {
    listener: TcpListener,
    stores: Stores,
    certificates: Arc<Certificates>,
    accounts: Arc<Accounts>,
    rooms: Rooms,
    bounds: Bounds,
    config: Config,
}

/// Opens everything and serves until `shutdown`.
///
/// # Errors
/// What [`Server::open`] says; once it serves, nothing.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<()> {
    Server::open(listener, config, clock).await?.run(shutdown).await;
    Ok(())
}

/// Binds the address of the configuration.
pub async fn bind(config: &Config) -> Result<TcpListener> {
    let address = &config.server.listen;
    TcpListener::bind(address).await.map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::AddrInUse => Kind::Unavailable,
            std::io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
            _ => Kind::InvalidArgument,
        };
        let message = format!("{address} cannot be listened on: {error}; choose another --listen");
        Error::new(kind, message).source(error)
    })
}

impl Server {
    /// Opens the stores, makes what a first start makes, and puts the rooms together.
    pub async fn open(
        listener: TcpListener,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let stores = Stores::open(&config, Arc::clone(&clock)).await?;
        let certificates = Arc::new(Certificates::open(origin(&config, &stores.dir))?);
        let setup = setup_code(&stores).await?;
        let limits = Arc::new(config.limits.clone());
        let lifetimes = Lifetimes {
            token: Duration::from_secs(config.login.token_minutes.saturating_mul(60)),
            login: Duration::from_secs(config.login.idle_days.saturating_mul(86_400)),
        };
        let db = Arc::clone(&stores.db);
        let accounts = Accounts::new(db, Arc::clone(&clock), (*limits).clone(), lifetimes, setup)?;
        let accounts = Arc::new(accounts);
        let rooms = rooms(&stores, &accounts, &clock, (&config.store, &limits)).await?;
        let bounds = bounds(&limits);
        Ok(Self { listener, stores, certificates, accounts, rooms, bounds, config })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| Error::internal("serve", error))
    }

    /// The pin of its authority.
    pub fn pin(&self) -> Result<String> {
        self.certificates.pin()
    }

    /// The set-up code, while the first administrator is to be made.
    pub fn setup_code(&self) -> Option<String> {
        self.accounts.setup_code()
    }

    /// Its certificates, to be loaded again.
    pub fn certificates(&self) -> Arc<Certificates> {
        Arc::clone(&self.certificates)
    }

    /// Serves until `shutdown`, then lets calls finish.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, stores, certificates, rooms, bounds, config, .. } = self;
        let tls = server_config(Arc::clone(&certificates));
        let (tls, connect) = match (tls, services(&rooms)) {
            (Ok(tls), Ok(connect)) => (tls, connect),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "the server cannot be put together");
                return;
            }
        };
        let jobs = jobs::start(&stores, certificates, &config, shutdown.clone());
        let stopping = rooms.stopping.clone();
        let ending = shutdown.clone();
        tokio::spawn(async move {
            ending.cancelled().await;
            stopping.cancel();
        });
        let connect = move |peer| {
            let calls = Arc::new(Calls::of(peer));
            let traffic: Arc<dyn Traffic> = Arc::clone(&calls) as _;
            (connect(calls), traffic)
        };
        accept::run(listener, tls, bounds, connect, shutdown).await;
        jobs.abort();
        drop(rooms);
        stores.close().await;
    }
}

async fn rooms(
    stores: &Stores,
    accounts: &Arc<Accounts>,
    clock: &Arc<dyn Clock>,
    (config, limits): (&Store, &Arc<Limits>),
) -> Result<Rooms> {
    let contents = Contents::new(
        Arc::clone(&stores.db),
        Arc::clone(&stores.chunks),
        Arc::clone(clock),
        Arc::clone(limits),
        Arc::clone(&stores.reserve),
    );
    let db = || Arc::clone(&stores.db);
    let (clock, shared) = (|| Arc::clone(clock), || Arc::clone(limits));
    Ok(Rooms {
        accounts: Arc::clone(accounts),
        files: Files::new(db(), contents.clone(), clock(), shared()),
        mail: Mail::new(db(), contents, clock(), shared()),
        upkeep: stores.upkeep(config),
        changes: Changes::new(db(), Arc::clone(&stores.watchers)),
        watchers: Arc::clone(&stores.watchers),
        limits: shared(),
        store: stores.db.store().await?.id,
        stopping: CancellationToken::new(),
    })
}

/// Makes the certificates that a first start makes, where they are not there yet.
pub fn make_identity(config: &Config, stores: &Stores) -> Result<()> {
    Certificates::open(origin(config, &stores.dir)).map(drop)
}

fn origin(config: &Config, dir: &DataDir) -> Origin {
    match (&config.server.cert, &config.server.key) {
        (Some(cert), Some(key)) => Origin::Given { cert: cert.clone(), key: key.clone() },
        _ => Origin::Made { dir: dir.tls(), names: config.server.names.clone() },
    }
}

/// While no administrator exists each start has a code of its own.
async fn setup_code(stores: &Stores) -> Result<SetupCode> {
    let file = stores.dir.setup_code();
    if stores.db.has_admin().await? {
        // Left by an administrator who was made offline.
        let _ = std::fs::remove_file(&file);
        return Ok(SetupCode::none());
    }
    let setup = SetupCode::new(Some(file.clone()))?;
    if let Some(code) = setup.reveal() {
        crate::whole_file::write(&file, format!("{code}\n").as_bytes())?;
    }
    Ok(setup)
}

fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        connections_max: limits.connections_max.min(descriptors() / 2).max(8),
        streams_max: limits.streams_max,
        header_bytes_max: limits.header_bytes_max,
        handshake: Duration::from_secs(limits.handshake_seconds),
        first_request: Duration::from_secs(limits.first_request_seconds),
        idle: Duration::from_secs(limits.idle_seconds),
        stall: Duration::from_secs(limits.stall_seconds),
        drain: Duration::from_secs(limits.drain_seconds),
    }
}

/// Raises the soft limit of open files as far as it goes; the limit.
fn descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let reached = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    reached.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
