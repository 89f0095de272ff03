//! AdminService: the words of those who run the server.

use depot_proto::admin::admin_service_server::AdminService;
use depot_proto::admin::{
    Account as ProtoAccount, CreateAccountRequest, CreateAccountResponse, DisableAccountRequest,
    DisableAccountResponse, EnableAccountRequest, EnableAccountResponse, ListAccountsRequest,
    ListAccountsResponse, SetPasswordRequest, SetPasswordResponse, SetQuotaRequest,
    SetQuotaResponse, StorageRequest, StorageResponse,
};
use tonic::{Request, Response, Status, async_trait};

use crate::accounts::Account;
use crate::error::Result;
use crate::model::AccountName;
use crate::rpc::convert::time;
use crate::rpc::status::status;
use crate::rpc::{Rooms, page_token};

/// Answers AdminService; the layer lets administrators alone through.
pub(super) struct Admin(Rooms);

impl Admin {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }

    async fn create(&self, request: CreateAccountRequest) -> Result<ProtoAccount> {
        let CreateAccountRequest { name, password, admin, quota_bytes } = request;
        let name = AccountName::parse(&name)?;
        self.0.accounts.create(name, password.into(), admin, quota_bytes).await.map(account)
    }

    async fn list(&self, request: ListAccountsRequest) -> Result<ListAccountsResponse> {
        let after = page_token::decode(&request.page_token)?.unwrap_or_default();
        let size = page_token::size(request.page_size, 100, 1_000);
        let found = self.0.accounts.list(&after, size).await?;
        let last = found.last().filter(|_| found.len() == size).map(|account| account.name.key());
        Ok(ListAccountsResponse {
            accounts: found.into_iter().map(account).collect(),
            next_page_token: page_token::encode(last.as_deref()),
        })
    }

    async fn set_disabled(&self, name: &str, disabled: bool) -> Result<ProtoAccount> {
        let name = AccountName::parse(name)?;
        self.0.accounts.set_disabled(&name, disabled).await.map(account)
    }

    async fn set_password(&self, request: SetPasswordRequest) -> Result<u32> {
        let name = AccountName::parse(&request.name)?;
        self.0.accounts.set_password(&name, request.password.into()).await
    }

    async fn set_quota(&self, request: SetQuotaRequest) -> Result<ProtoAccount> {
        let name = AccountName::parse(&request.name)?;
        self.0.accounts.set_quota(&name, request.quota_bytes).await.map(account)
    }
}

impl Admin {
    async fn storage(&self) -> Result<StorageResponse> {
        let (found, disk) = (self.0.upkeep.storage().await?, self.0.files.disk()?);
        Ok(StorageResponse {
            accounts: found.stock.accounts,
            entries: found.stock.entries,
            messages: found.stock.messages,
            logical_bytes: found.stock.logical_bytes,
            chunks: found.stock.chunks,
            chunk_bytes: found.stock.chunk_bytes,
            packs: found.packs,
            pack_bytes: found.pack_bytes,
            dead_bytes: found.dead_bytes,
            condemned_chunks: found.stock.condemned_chunks,
            condemned_bytes: found.stock.condemned_bytes,
            compaction_bytes: found.compaction_bytes,
            trash_bytes: found.held.trash_bytes,
            staged_bytes: found.held.upload_bytes,
            metadata_bytes: found.stock.metadata_bytes,
            disk_bytes: disk.bytes,
            disk_free_bytes: disk.free,
            collected_at: Some(time(found.collected_at)),
        })
    }
}

#[async_trait]
impl AdminService for Admin {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let account = Some(self.create(request.into_inner()).await.map_err(status)?);
        Ok(Response::new(CreateAccountResponse { account }))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        self.list(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn disable_account(
        &self,
        request: Request<DisableAccountRequest>,
    ) -> Result<Response<DisableAccountResponse>, Status> {
        let account = self.set_disabled(&request.into_inner().name, true).await;
        let account = Some(account.map_err(status)?);
        Ok(Response::new(DisableAccountResponse { account }))
    }

    async fn enable_account(
        &self,
        request: Request<EnableAccountRequest>,
    ) -> Result<Response<EnableAccountResponse>, Status> {
        let account = self.set_disabled(&request.into_inner().name, false).await;
        let account = Some(account.map_err(status)?);
        Ok(Response::new(EnableAccountResponse { account }))
    }

    async fn set_password(
        &self,
        request: Request<SetPasswordRequest>,
    ) -> Result<Response<SetPasswordResponse>, Status> {
        let revoked = self.set_password(request.into_inner()).await.map_err(status)?;
        Ok(Response::new(SetPasswordResponse { revoked }))
    }

    async fn storage(
        &self,
        _: Request<StorageRequest>,
    ) -> Result<Response<StorageResponse>, Status> {
        self.storage().await.map(Response::new).map_err(status)
    }

    async fn set_quota(
        &self,
        request: Request<SetQuotaRequest>,
    ) -> Result<Response<SetQuotaResponse>, Status> {
        let account = Some(self.set_quota(request.into_inner()).await.map_err(status)?);
        Ok(Response::new(SetQuotaResponse { account }))
    }
}

fn account(account: Account) -> ProtoAccount {
    ProtoAccount {
        name: account.name.to_string(),
        admin: account.admin,
        disabled: account.disabled,
        used_bytes: account.used,
        quota_bytes: account.quota,
        created_at: Some(time(account.created_at)),
    }
}
