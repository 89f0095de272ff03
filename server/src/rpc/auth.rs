//! AuthService: the words of accounts and logins.

use depot_proto::auth::auth_service_server::AuthService;
use depot_proto::auth::revoke_session_request::Target;
use depot_proto::auth::{
    ChangePasswordRequest, ChangePasswordResponse, Chunker, Credentials as ProtoCredentials,
    Limits as ProtoLimits, ListSessionsRequest, ListSessionsResponse, LoginRequest, LoginResponse,
    LogoutRequest, LogoutResponse, RefreshRequest, RefreshResponse, RevokeSessionRequest,
    RevokeSessionResponse, ServerInfoRequest, ServerInfoResponse, Session as ProtoSession,
    SetupRequest, SetupResponse, WhoAmIRequest, WhoAmIResponse,
};
use tonic::{Request, Response, Status, async_trait};

use crate::accounts::{Credentials, Session};
use crate::error::{Error, Result};
use crate::model::{AccountName, Caller, Limits, SessionId, chunker};
use crate::rpc::auth_layer::caller;
use crate::rpc::convert::time;
use crate::rpc::status::status;
use crate::rpc::{Rooms, page_token};

/// Answers AuthService.
pub(super) struct Auth(Rooms);

impl Auth {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }

    async fn info(&self) -> Result<ServerInfoResponse> {
        Ok(ServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store_id: self.0.store.as_bytes().to_vec().into(),
            setup_required: self.0.accounts.setup_required().await?,
            chunker: Some(Chunker {
                algorithm: chunker::ALGORITHM.to_owned(),
                chunk_bytes_min: chunker::CHUNK_BYTES_MIN,
                chunk_bytes_avg: chunker::CHUNK_BYTES_AVG,
                chunk_bytes_max: chunker::CHUNK_BYTES_MAX,
            }),
            limits: Some(limits(&self.0.limits)),
        })
    }

    async fn who(&self, caller: &Caller) -> Result<WhoAmIResponse> {
        let account = self.0.accounts.own(caller).await?;
        Ok(WhoAmIResponse {
            account: account.name.to_string(),
            admin: account.admin,
            session_id: caller.session.to_string(),
            token_expires_at: Some(time(caller.token_expires_at)),
            used_bytes: account.used,
            quota_bytes: account.quota,
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: ListSessionsRequest,
    ) -> Result<ListSessionsResponse> {
        let before =
            page_token::decode(&request.page_token)?.map(|id| SessionId::parse(&id)).transpose()?;
        let size = page_token::size(request.page_size, 100, 1_000);
        let found = self.0.accounts.sessions(caller, before, size).await?;
        let last = (found.len() == size).then(|| found.last().map(|session| session.id)).flatten();
        Ok(ListSessionsResponse {
            sessions: found.into_iter().map(|found| session(caller, found)).collect(),
            next_page_token: page_token::encode(last.map(|id| id.to_string()).as_deref()),
        })
    }

    async fn revoke(&self, caller: &Caller, request: RevokeSessionRequest) -> Result<u32> {
        match request.target {
            Some(Target::Id(id)) => {
                self.0.accounts.revoke(caller, SessionId::parse(&id)?).await.map(|()| 1)
            }
            Some(Target::AllOthers(true)) => self.0.accounts.revoke_others(caller).await,
            _ => Err(Error::field("target", "the id of a login, or all_others")),
        }
    }
}

#[async_trait]
impl AuthService for Auth {
    async fn server_info(
        &self,
        _: Request<ServerInfoRequest>,
    ) -> Result<Response<ServerInfoResponse>, Status> {
        self.info().await.map(Response::new).map_err(status)
    }

    async fn setup(
        &self,
        request: Request<SetupRequest>,
    ) -> Result<Response<SetupResponse>, Status> {
        let SetupRequest { code, account, password, client } = request.into_inner();
        let name = AccountName::parse(&account).map_err(status)?;
        let made = self.0.accounts.setup(&code.into(), name, password.into(), client).await;
        let credentials = made.map(credentials).map_err(status)?;
        Ok(Response::new(SetupResponse { credentials: Some(credentials) }))
    }

    async fn login(
        &self,
        request: Request<LoginRequest>,
    ) -> Result<Response<LoginResponse>, Status> {
        let LoginRequest { account, password, client } = request.into_inner();
        let made = self.0.accounts.login(&account, password.into(), client).await;
        let credentials = made.map(credentials).map_err(status)?;
        Ok(Response::new(LoginResponse { credentials: Some(credentials) }))
    }

    async fn refresh(
        &self,
        request: Request<RefreshRequest>,
    ) -> Result<Response<RefreshResponse>, Status> {
        let made = self.0.accounts.refresh(&request.into_inner().refresh_token).await;
        let credentials = made.map(credentials).map_err(status)?;
        Ok(Response::new(RefreshResponse { credentials: Some(credentials) }))
    }

    async fn logout(
        &self,
        request: Request<LogoutRequest>,
    ) -> Result<Response<LogoutResponse>, Status> {
        let caller = caller(&request)?;
        self.0.accounts.logout(&caller).await.map_err(status)?;
        Ok(Response::new(LogoutResponse {}))
    }

    async fn who_am_i(
        &self,
        request: Request<WhoAmIRequest>,
    ) -> Result<Response<WhoAmIResponse>, Status> {
        self.who(&caller(&request)?).await.map(Response::new).map_err(status)
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = caller(&request)?;
        self.list(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let caller = caller(&request)?;
        let revoked = self.revoke(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(RevokeSessionResponse { revoked }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let caller = caller(&request)?;
        let ChangePasswordRequest { old_password, new_password } = request.into_inner();
        let (old, new) = (old_password.into(), new_password.into());
        let revoked = self.0.accounts.change_password(&caller, old, new).await.map_err(status)?;
        Ok(Response::new(ChangePasswordResponse { revoked }))
    }
}

fn limits(limits: &Limits) -> ProtoLimits {
    ProtoLimits {
        missing_hashes_max: limits.missing_hashes_max,
        fill_bytes_max: limits.fill_bytes_max,
        commit_merge_entries_max: limits.commit_merge_entries_max,
        read_many_ids_max: limits.read_many_ids_max,
        ack_ids_max: limits.ack_ids_max,
        message_body_bytes_max: limits.message_body_bytes_max,
        message_subject_bytes_max: limits.message_subject_bytes_max,
        message_recipients_max: limits.message_recipients_max,
        message_attachments_max: limits.message_attachments_max,
        content_chunks_max: limits.content_chunks_max,
    }
}

fn credentials(credentials: Credentials) -> ProtoCredentials {
    ProtoCredentials {
        account: credentials.account.to_string(),
        token: credentials.token.reveal().to_owned(),
        token_expires_at: Some(time(credentials.token_expires_at)),
        refresh_token: credentials.refresh.reveal().to_owned(),
        refresh_expires_at: Some(time(credentials.refresh_expires_at)),
        session_id: credentials.session.to_string(),
    }
}

fn session(caller: &Caller, session: Session) -> ProtoSession {
    ProtoSession {
        id: session.id.to_string(),
        client: session.client,
        created_at: Some(time(session.created_at)),
        last_used_at: Some(time(session.used_at)),
        expires_at: Some(time(session.expires_at)),
        current: session.id == caller.session,
    }
}
