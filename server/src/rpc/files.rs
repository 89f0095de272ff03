//! FilesService: the words of trees. Streams of bytes are in `upload` and `download`, commits in `commit`.

use std::pin::Pin;

use depot_proto::files::files_service_server::FilesService;
use depot_proto::files::{
    CommitRequest, CommitResponse, CopyRequest, CopyResponse, Entry as ProtoEntry, FillRequest,
    FillResponse, FindRequest, FindResponse, ListRequest, ListResponse, MakeFolderRequest,
    MakeFolderResponse, MeasureRequest, MeasureResponse, MissingRequest, MissingResponse,
    MoveRequest, MoveResponse, ReadChunksRequest, ReadChunksResponse, ReadManifestRequest,
    ReadManifestResponse, ReadManyRequest, ReadManyResponse, ReadRequest, ReadResponse,
    RemoveRequest, RemoveResponse, StatRequest, StatResponse, UsageRequest, UsageResponse,
    WriteRequest, WriteResponse,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::error::{Error, Result};
use crate::files::Position;
use crate::model::{Caller, ChunkHash, Location, Reader};
use crate::rpc::auth_layer::{caller, reader};
use crate::rpc::call::to_its_end;
use crate::rpc::convert::{beside, condition, digest_of, entry, filter, mode, request, upload_for};
use crate::rpc::status::status;
use crate::rpc::{Rooms, commit, download, page_token, upload};

/// Answers FilesService.
pub(super) struct FilesRpc(Rooms);

/// A streamed answer.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl FilesRpc {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }

    async fn list(&self, reader: &Reader, wanted: ListRequest) -> Result<ListResponse> {
        let at = Location::parse(&wanted.path, "path")?;
        let from = match page_token::decode(&wanted.page_token)? {
            None => Position::Start,
            Some(path) => Position::After(Location::parse(&path, "page_token")?.path),
        };
        let size = page_token::size(wanted.page_size, 1_000, 5_000);
        let page = self.0.files.list(reader, &at, wanted.recursive, from, size).await?;
        let last = page.entries.last().filter(|_| page.more).map(|last| last.path.to_string());
        Ok(ListResponse {
            entries: page
                .entries
                .into_iter()
                .map(|listed| entry(&beside(&at, listed.path), listed.entry))
                .collect(),
            next_page_token: page_token::encode(last.as_deref()),
            modseq: u64::try_from(page.modseq.0).unwrap_or(0),
        })
    }

    async fn find(&self, caller: &Caller, wanted: FindRequest) -> Result<FindResponse> {
        let at = Location::parse(&wanted.path, "path")?;
        let from = match page_token::decode(&wanted.page_token)? {
            None => Position::Start,
            Some(path) => Position::After(Location::parse(&path, "page_token")?.path),
        };
        let size = page_token::size(wanted.page_size, 1_000, 5_000);
        let found = self.0.files.find(caller, &at, filter(&wanted)?, from, size).await?;
        let reached = found.reached.map(|path| path.to_string());
        let listed = found.entries.into_iter();
        Ok(FindResponse {
            entries: listed.map(|found| entry(&beside(&at, found.path), found.entry)).collect(),
            next_page_token: page_token::encode(reached.as_deref()),
        })
    }

    async fn measured(&self, caller: &Caller, wanted: MeasureRequest) -> Result<MeasureResponse> {
        let at = Location::parse(&wanted.path, "path")?;
        let found = self.0.files.measure(caller, &at).await?;
        Ok(MeasureResponse {
            files: found.files,
            folders: found.folders,
            symlinks: found.symlinks,
            bytes: found.bytes,
            version_bytes: found.version_bytes,
        })
    }

    async fn used(&self, caller: &Caller) -> Result<UsageResponse> {
        let found = self.0.files.holdings(caller).await?;
        Ok(UsageResponse {
            used_bytes: found.usage.used,
            quota_bytes: found.usage.quota,
            staged_bytes: found.usage.staged,
            file_bytes: found.files,
            trash_bytes: found.trash,
            version_bytes: found.versions,
            mail_bytes: found.mail,
        })
    }

    async fn move_to(&self, caller: &Caller, wanted: MoveRequest) -> Result<ProtoEntry> {
        let once = request(&wanted.request_id, || digest_of("Move", &wanted))?;
        let source = Location::parse(&wanted.source, "source")?;
        let target = Location::parse(&wanted.target, "target")?;
        let condition = condition(wanted.if_generation, ("if_etag", &wanted.if_etag))?;
        let terms = (condition, wanted.if_absent);
        let moved = self.0.files.move_entry(caller, (&source, &target), terms, once).await?;
        Ok(entry(&target, moved))
    }

    async fn copy_to(&self, caller: &Caller, wanted: CopyRequest) -> Result<ProtoEntry> {
        let once = request(&wanted.request_id, || digest_of("Copy", &wanted))?;
        let source = Location::parse(&wanted.source, "source")?;
        let target = Location::parse(&wanted.target, "target")?;
        let CopyRequest { recursive, if_absent, .. } = wanted;
        let terms = (if_absent, once);
        let copy = self.0.files.copy(caller, &source, &target, recursive, terms).await?;
        Ok(entry(&target, copy))
    }

    async fn remove(&self, caller: &Caller, wanted: RemoveRequest) -> Result<()> {
        let once = request(&wanted.request_id, || digest_of("Remove", &wanted))?;
        let at = Location::parse(&wanted.path, "path")?;
        let condition = condition(wanted.if_generation, ("if_etag", &wanted.if_etag))?;
        self.0.files.remove(caller, &at, wanted.recursive, condition, once).await
    }

    async fn make(&self, caller: &Caller, wanted: MakeFolderRequest) -> Result<ProtoEntry> {
        let at = Location::parse(&wanted.path, "path")?;
        let mode = mode("mode", wanted.mode)?;
        let made = self.0.files.make_folder(caller, &at, wanted.parents, mode).await?;
        Ok(entry(&at, made))
    }

    async fn missing(&self, caller: &Caller, wanted: MissingRequest) -> Result<MissingResponse> {
        let upload = upload_for(&wanted.upload_id, &wanted.tree)?;
        let (hashes, rest) = wanted.hashes.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(Error::field("hashes", "each hash has 32 bytes"));
        }
        let hashes = hashes.iter().map(|hash| ChunkHash(*hash)).collect();
        let missing = self.0.files.missing(caller, upload, hashes).await?;
        let mut bitmap = vec![0_u8; missing.len().div_ceil(8)];
        for (at, _) in missing.iter().enumerate().filter(|(_, missing)| **missing) {
            bitmap[at / 8] |= 1 << (at % 8);
        }
        Ok(MissingResponse { bitmap: bitmap.into() })
    }
}

#[async_trait]
impl FilesService for FilesRpc {
    type ReadStream = Answers<ReadResponse>;
    type ReadManifestStream = Answers<ReadManifestResponse>;
    type ReadChunksStream = Answers<ReadChunksResponse>;
    type ReadManyStream = Answers<ReadManyResponse>;

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let reader = reader(&request)?;
        let entry = upload::write(&self.0.files, &reader, request.into_inner()).await?;
        Ok(Response::new(WriteResponse { entry: Some(entry) }))
    }

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let reader = reader(&request)?;
        let answers = download::read(&self.0.files, &reader, request.into_inner()).await;
        answers.map(Response::new).map_err(status)
    }

    async fn stat(&self, request: Request<StatRequest>) -> Result<Response<StatResponse>, Status> {
        let reader = reader(&request)?;
        let at = Location::parse(&request.into_inner().path, "path").map_err(status)?;
        let found = self.0.files.stat(&reader, &at).await.map_err(status)?;
        Ok(Response::new(StatResponse { entry: Some(entry(&at, found)) }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let reader = reader(&request)?;
        self.list(&reader, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn find(&self, request: Request<FindRequest>) -> Result<Response<FindResponse>, Status> {
        let caller = caller(&request)?;
        self.find(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn measure(
        &self,
        request: Request<MeasureRequest>,
    ) -> Result<Response<MeasureResponse>, Status> {
        let caller = caller(&request)?;
        self.measured(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn usage(
        &self,
        request: Request<UsageRequest>,
    ) -> Result<Response<UsageResponse>, Status> {
        let caller = caller(&request)?;
        self.used(&caller).await.map(Response::new).map_err(status)
    }

    async fn make_folder(
        &self,
        request: Request<MakeFolderRequest>,
    ) -> Result<Response<MakeFolderResponse>, Status> {
        let caller = caller(&request)?;
        let made = self.make(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(MakeFolderResponse { entry: Some(made) }))
    }

    async fn r#move(
        &self,
        request: Request<MoveRequest>,
    ) -> Result<Response<MoveResponse>, Status> {
        let caller = caller(&request)?;
        let moved = self.move_to(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(MoveResponse { entry: Some(moved) }))
    }

    async fn copy(&self, request: Request<CopyRequest>) -> Result<Response<CopyResponse>, Status> {
        let caller = caller(&request)?;
        let copy = self.copy_to(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(CopyResponse { entry: Some(copy) }))
    }

    async fn remove(
        &self,
        request: Request<RemoveRequest>,
    ) -> Result<Response<RemoveResponse>, Status> {
        let caller = caller(&request)?;
        self.remove(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(RemoveResponse {}))
    }

    async fn missing(
        &self,
        request: Request<MissingRequest>,
    ) -> Result<Response<MissingResponse>, Status> {
        let caller = caller(&request)?;
        self.missing(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn fill(
        &self,
        request: Request<Streaming<FillRequest>>,
    ) -> Result<Response<FillResponse>, Status> {
        let caller = caller(&request)?;
        let files = self.0.files.clone();
        // What came whole of a call that breaks is kept.
        let fill = async move { upload::fill(&files, &caller, request.into_inner()).await };
        to_its_end(fill).await.map(Response::new)
    }

    async fn commit(
        &self,
        request: Request<Streaming<CommitRequest>>,
    ) -> Result<Response<CommitResponse>, Status> {
        let caller = caller(&request)?;
        let done = commit::commit(&self.0.files, &caller, request.into_inner()).await;
        done.map(Response::new)
    }

    async fn read_manifest(
        &self,
        request: Request<ReadManifestRequest>,
    ) -> Result<Response<Self::ReadManifestStream>, Status> {
        let reader = reader(&request)?;
        let answers = download::read_manifest(&self.0.files, &reader, request.into_inner()).await;
        answers.map(Response::new).map_err(status)
    }

    async fn read_chunks(
        &self,
        request: Request<ReadChunksRequest>,
    ) -> Result<Response<Self::ReadChunksStream>, Status> {
        let reader = reader(&request)?;
        let max = self.0.limits.read_ranges_max as usize;
        let answers = download::read_chunks(&self.0.files, &reader, request.into_inner(), max);
        answers.await.map(Response::new).map_err(status)
    }

    async fn read_many(
        &self,
        request: Request<ReadManyRequest>,
    ) -> Result<Response<Self::ReadManyStream>, Status> {
        let reader = reader(&request)?;
        let max = self.0.limits.read_many_ids_max as usize;
        let answers = download::read_many(&self.0.files, &reader, request.into_inner(), max);
        answers.await.map(Response::new).map_err(status)
    }
}
