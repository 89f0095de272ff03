//! HistoryService: the words of versions, of the trash, and of undoing.

use depot_proto::files::history_service_server::HistoryService;
use depot_proto::files::{
    EmptyTrashRequest, EmptyTrashResponse, ListTrashRequest, ListTrashResponse,
    ListVersionsRequest, ListVersionsResponse, RemovedEntry, RestoreRemovedRequest,
    RestoreRemovedResponse, RestoreVersionRequest, RestoreVersionResponse, UndoRequest,
    UndoResponse, Version as ProtoVersion,
};
use tonic::{Request, Response, Status, async_trait};

use crate::error::{Error, Result};
use crate::files::{Removed, Version};
use crate::model::{Caller, EntryId, Location, Modseq, VersionId};
use crate::rpc::auth_layer::caller;
use crate::rpc::convert::{beside, condition, digest_of, entry, kind, request, time, time_ns};
use crate::rpc::status::status;
use crate::rpc::{Rooms, page_token};

/// Answers HistoryService.
pub(super) struct History(Rooms);

impl History {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }

    async fn versions(
        &self,
        caller: &Caller,
        wanted: ListVersionsRequest,
    ) -> Result<ListVersionsResponse> {
        let at = Location::parse(&wanted.path, "path")?;
        let before = page_token::decode(&wanted.page_token)?
            .map(|place| place.parse().map(Modseq).map_err(|_| foreign_token()))
            .transpose()?;
        let size = page_token::size(wanted.page_size, 100, 1_000);
        let found = self.0.files.file_versions(caller, &at, before, size).await?;
        let last = found.last().filter(|_| found.len() == size);
        let next = last.map(|last| last.generation.0.to_string());
        Ok(ListVersionsResponse {
            versions: found.into_iter().map(version).collect(),
            next_page_token: page_token::encode(next.as_deref()),
        })
    }

    async fn revert(
        &self,
        caller: &Caller,
        wanted: RestoreVersionRequest,
    ) -> Result<RestoreVersionResponse> {
        let once = request(&wanted.request_id, || digest_of("RestoreVersion", &wanted))?;
        let at = Location::parse(&wanted.path, "path")?;
        let version = match wanted.version.as_str() {
            "" => None,
            id => Some(VersionId::parse(id)?),
        };
        let condition = condition(wanted.if_generation, ("if_etag", &wanted.if_etag))?;
        let put = self.0.files.revert(caller, &at, version, condition, once).await?;
        Ok(RestoreVersionResponse { entry: Some(entry(&at, put)) })
    }

    async fn trash(&self, caller: &Caller, wanted: ListTrashRequest) -> Result<ListTrashResponse> {
        let before = page_token::decode(&wanted.page_token)?.map(|place| place_in(&place));
        let before = before.transpose()?;
        let size = page_token::size(wanted.page_size, 100, 1_000);
        let found = self.0.files.trash(caller, before, size).await?;
        let last = found.last().filter(|_| found.len() == size);
        let next = last.map(|last| format!("{} {}", last.removed_at, last.id));
        Ok(ListTrashResponse {
            entries: found.into_iter().map(removed).collect(),
            next_page_token: page_token::encode(next.as_deref()),
        })
    }

    async fn restore(
        &self,
        caller: &Caller,
        wanted: RestoreRemovedRequest,
    ) -> Result<RestoreRemovedResponse> {
        let once = request(&wanted.request_id, || digest_of("RestoreRemoved", &wanted))?;
        let id = EntryId::parse(&wanted.id)?;
        let target = match wanted.target.as_str() {
            "" => None,
            path => Some(Location::parse(path, "target")?),
        };
        let back = self.0.files.restore(caller, id, target.as_ref(), once).await?;
        let at = Location { owner: None, path: back.path };
        Ok(RestoreRemovedResponse { entry: Some(entry(&at, back.entry)) })
    }

    async fn empty(
        &self,
        caller: &Caller,
        wanted: EmptyTrashRequest,
    ) -> Result<EmptyTrashResponse> {
        let only = match wanted.id.as_str() {
            "" => None,
            id => Some(EntryId::parse(id)?),
        };
        let freed_bytes = self.0.files.empty_trash(caller, only).await?;
        Ok(EmptyTrashResponse { freed_bytes })
    }

    async fn take_back(&self, caller: &Caller, wanted: UndoRequest) -> Result<UndoResponse> {
        let once = request(&wanted.request_id, || digest_of("Undo", &wanted))?;
        let at = Location::parse(&wanted.path, "path")?;
        let undone = self.0.files.undo(caller, &at, once).await?;
        Ok(UndoResponse {
            base: beside(&at, undone.base).to_string(),
            committed_at: Some(time(undone.committed_at)),
            removed: undone.removed,
            restored: undone.restored,
            adjusted: undone.adjusted,
        })
    }
}

/// Where a list of the trash goes on.
fn place_in(place: &str) -> Result<(i64, EntryId)> {
    let (at, id) = place.split_once(' ').ok_or_else(foreign_token)?;
    let at = at.parse().map_err(|_| foreign_token())?;
    Ok((at, EntryId::parse(id).map_err(|_| foreign_token())?))
}

fn foreign_token() -> Error {
    Error::field("page_token", "not a token of this list; begin without one")
}

fn version(version: Version) -> ProtoVersion {
    ProtoVersion {
        version: version.id.to_string(),
        generation: u64::try_from(version.generation.0).unwrap_or(0),
        size: version.content.size,
        blake3: version.content.digest.0.to_vec().into(),
        modified_at: Some(time_ns(version.modified_ns)),
        mode: version.mode.bits(),
        replaced_at: version.replaced_at.map(time),
    }
}

fn removed(removed: Removed) -> RemovedEntry {
    RemovedEntry {
        id: removed.id.to_string(),
        path: removed.path.to_string(),
        kind: kind(removed.kind).into(),
        size: removed.size,
        removed_at: Some(time(removed.removed_at)),
    }
}

#[async_trait]
impl HistoryService for History {
    async fn list_versions(
        &self,
        request: Request<ListVersionsRequest>,
    ) -> Result<Response<ListVersionsResponse>, Status> {
        let caller = caller(&request)?;
        self.versions(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn restore_version(
        &self,
        request: Request<RestoreVersionRequest>,
    ) -> Result<Response<RestoreVersionResponse>, Status> {
        let caller = caller(&request)?;
        self.revert(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn list_trash(
        &self,
        request: Request<ListTrashRequest>,
    ) -> Result<Response<ListTrashResponse>, Status> {
        let caller = caller(&request)?;
        self.trash(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn restore_removed(
        &self,
        request: Request<RestoreRemovedRequest>,
    ) -> Result<Response<RestoreRemovedResponse>, Status> {
        let caller = caller(&request)?;
        self.restore(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn empty_trash(
        &self,
        request: Request<EmptyTrashRequest>,
    ) -> Result<Response<EmptyTrashResponse>, Status> {
        let caller = caller(&request)?;
        self.empty(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn undo(&self, request: Request<UndoRequest>) -> Result<Response<UndoResponse>, Status> {
        let caller = caller(&request)?;
        self.take_back(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }
}
