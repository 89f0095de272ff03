//! The edge: the only room that knows tonic and the protos. A call is named and timed by `call`, judged
//! by `auth_layer` after the table in `access`, translated by `convert`, answered by one file per
//! service, and its error becomes a status in `status`.

mod access;
mod admin;
mod auth;
mod auth_layer;
mod call;
mod calls;
mod changes;
mod commit;
mod convert;
mod download;
mod files;
mod groups;
mod history;
mod links;
mod mail;
mod page_token;
mod shared;
mod sharing;
mod status;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use depot_proto::DESCRIPTORS;
use depot_proto::admin::admin_service_server::AdminServiceServer;
use depot_proto::auth::auth_service_server::AuthServiceServer;
use depot_proto::auth::groups_service_server::GroupsServiceServer;
use depot_proto::changes::changes_service_server::ChangesServiceServer;
use depot_proto::files::files_service_server::FilesServiceServer;
use depot_proto::files::history_service_server::HistoryServiceServer;
use depot_proto::files::sharing_service_server::SharingServiceServer;
use depot_proto::mail::mail_service_server::MailServiceServer;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::{Layer, ServiceBuilder};

use crate::accounts::Accounts;
use crate::changes::{Changes, Watchers};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::mail::Mail;
use crate::model::{Limits, StoreId};
use crate::upkeep::Upkeep;

pub use access::{Access, Shape, rule};
pub use auth_layer::AuthLayer;
pub use call::CallLayer;
pub use calls::Calls;

/// The largest message of files and mail that is taken: gRPC's own default.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The largest one of all else. Some of it is taken from people without a token.
const WORDS_BYTES_MAX: usize = 64 << 10;

/// File data in one message: 508 KiB, so that a message with its framing ends inside whole frames and
/// stays below the 4 MiB that other clients accept.
const DATA_BYTES: usize = 508 << 10;

/// Everything the edge hands requests to.
#[derive(Clone)]
pub struct Rooms {
    /// Accounts and logins.
    pub accounts: Arc<Accounts>,
    /// Trees.
    pub files: Files,
    /// Messages.
    pub mail: Mail,
    /// What keeps the stores sound and small.
    pub upkeep: Upkeep,
    /// What is new.
    pub changes: Changes,
    /// Who waits for what is new.
    pub watchers: Arc<Watchers>,
    /// The limits that clients are told.
    pub limits: Arc<Limits>,
    /// Which store this is.
    pub store: StoreId,
    /// Ends streams that would go on for ever.
    pub stopping: CancellationToken,
}

/// A service that answers one connection's requests.
pub type Service = <CallLayer as Layer<<AuthLayer as Layer<Routes>>::Service>>::Service;

/// Puts all services behind the layers. `Calls` counts what goes on in one connection.
pub fn services(rooms: &Rooms) -> Result<impl Fn(Arc<Calls>) -> Service + Clone + use<>> {
    let routes = routes(rooms)?;
    let auth = AuthLayer::new(Arc::clone(&rooms.accounts));
    let limits = Arc::clone(&rooms.limits);
    Ok(move |calls| {
        let call_layer = CallLayer::new(
            calls,
            Duration::from_secs(limits.call_seconds),
            Duration::from_secs(limits.stall_seconds),
        );
        ServiceBuilder::new().layer(call_layer).layer(auth.clone()).service(routes.clone())
    })
}

fn routes(rooms: &Rooms) -> Result<Routes> {
    let (health, reporter) = {
        let (reporter, health) = tonic_health::server::health_reporter();
        (health, reporter)
    };
    // Serving by the time anyone can ask: a server that is not does not accept.
    drop(reporter);
    let reflect = |error| Error::internal("rpc.reflection", error);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection_v1 = reflection().build_v1().map_err(reflect)?;
    let reflection_v1alpha = reflection().build_v1alpha().map_err(reflect)?;
    let auth = AuthServiceServer::new(auth::Auth::new(rooms.clone()));
    let groups = GroupsServiceServer::new(groups::Groups::new(rooms.clone()));
    let admin = AdminServiceServer::new(admin::Admin::new(rooms.clone()));
    let files = FilesServiceServer::new(files::FilesRpc::new(rooms.clone()));
    let history = HistoryServiceServer::new(history::History::new(rooms.clone()));
    let sharing = SharingServiceServer::new(sharing::Sharing::new(rooms.clone()));
    let mail = MailServiceServer::new(mail::MailRpc::new(rooms.clone()));
    let changes = ChangesServiceServer::new(changes::ChangesRpc::new(rooms.clone()));
    Ok(Routes::new(health.max_decoding_message_size(WORDS_BYTES_MAX))
        .add_service(reflection_v1.max_decoding_message_size(WORDS_BYTES_MAX))
        .add_service(reflection_v1alpha.max_decoding_message_size(WORDS_BYTES_MAX))
        .add_service(auth.max_decoding_message_size(WORDS_BYTES_MAX))
        .add_service(groups.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(admin.max_decoding_message_size(WORDS_BYTES_MAX))
        .add_service(files.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(history.max_decoding_message_size(WORDS_BYTES_MAX))
        .add_service(sharing.max_decoding_message_size(WORDS_BYTES_MAX))
        .add_service(mail.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(changes.max_decoding_message_size(WORDS_BYTES_MAX))
        .prepare())
}
