//! SharingService: the words of grants; those of links are in `links`.

use depot_proto::files::sharing_service_server::SharingService;
use depot_proto::files::{
    AccessGrant, GrantRequest, GrantResponse, ListGrantsRequest, ListGrantsResponse,
    ListLinksRequest, ListLinksResponse, ListSharedRequest, ListSharedResponse, MakeLinkRequest,
    MakeLinkResponse, OpenLinkRequest, OpenLinkResponse, RevokeLinkRequest, RevokeLinkResponse,
    RevokeRequest, RevokeResponse, Right as ProtoRight,
};
use tonic::{Request, Response, Status, async_trait};

use crate::error::{Error, Result};
use crate::files::{Grant, GrantKey, Grants};
use crate::model::{Caller, EntryId, Grantee, Location, Right};
use crate::rpc::auth_layer::caller;
use crate::rpc::convert::{digest_of, kind, request, time};
use crate::rpc::status::status;
use crate::rpc::{Rooms, links, page_token};

/// Answers SharingService.
pub(super) struct Sharing(Rooms);

impl Sharing {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }

    async fn make(&self, caller: &Caller, wanted: GrantRequest) -> Result<AccessGrant> {
        let once = request(&wanted.request_id, || digest_of("Grant", &wanted))?;
        let at = Location::parse(&wanted.path, "path")?;
        let grantee = Grantee::parse(&wanted.grantee)?;
        let right = match wanted.right() {
            ProtoRight::Read => Right::Read,
            ProtoRight::Write => Right::Write,
            ProtoRight::Unspecified => return Err(Error::field("right", "to read, or to write")),
        };
        let made = self.0.files.grant(caller, &at, grantee, right, once).await?;
        Ok(grant(caller, made))
    }

    async fn take_back(&self, caller: &Caller, wanted: RevokeRequest) -> Result<()> {
        let at = Location::parse(&wanted.path, "path")?;
        self.0.files.revoke(caller, &at, &Grantee::parse(&wanted.grantee)?).await
    }

    async fn made(&self, caller: &Caller, wanted: ListGrantsRequest) -> Result<ListGrantsResponse> {
        let at = match wanted.path.as_str() {
            "" => None,
            path => Some(Location::parse(path, "path")?),
        };
        let (after, size) = page(&wanted.page_token, wanted.page_size)?;
        let found = self.0.files.grants(caller, at.as_ref(), after, size).await?;
        let (grants, next_page_token) = answer(caller, found);
        Ok(ListGrantsResponse { grants, next_page_token })
    }

    async fn had(&self, caller: &Caller, wanted: ListSharedRequest) -> Result<ListSharedResponse> {
        let (after, size) = page(&wanted.page_token, wanted.page_size)?;
        let found = self.0.files.shared_with(caller, after, size).await?;
        let (grants, next_page_token) = answer(caller, found);
        Ok(ListSharedResponse { grants, next_page_token })
    }
}

fn page(token: &str, size: u32) -> Result<(Option<GrantKey>, usize)> {
    let after = page_token::decode(token)?.map(|place| key(&place)).transpose()?;
    Ok((after, page_token::size(size, 100, 1_000)))
}

fn key(place: &str) -> Result<GrantKey> {
    let parsed = || {
        let mut parts = place.split(' ');
        let entry = EntryId::parse(parts.next()?).ok()?;
        let (group, grantee) = (parts.next()? == "@", parts.next()?.parse().ok()?);
        Some(GrantKey { entry, group, grantee })
    };
    parsed().ok_or_else(|| Error::field("page_token", "not a token of this list"))
}

fn answer(caller: &Caller, found: Grants) -> (Vec<AccessGrant>, String) {
    let place = found
        .next
        .map(|key| format!("{} {} {}", key.entry, if key.group { "@" } else { "-" }, key.grantee));
    let grants = found.grants.into_iter().map(|made| grant(caller, made)).collect();
    (grants, page_token::encode(place.as_deref()))
}

fn grant(caller: &Caller, grant: Grant) -> AccessGrant {
    let owner = (grant.owner.key() != caller.name.key()).then_some(grant.owner);
    let right = match grant.right {
        Right::Read => ProtoRight::Read,
        Right::Write => ProtoRight::Write,
    };
    let mut proto = AccessGrant {
        path: Location { owner, path: grant.path }.to_string(),
        grantee: grant.grantee.to_string(),
        granted_at: Some(time(grant.granted_at)),
        ..AccessGrant::default()
    };
    proto.set_right(right);
    proto.set_kind(kind(grant.kind));
    proto
}

#[async_trait]
impl SharingService for Sharing {
    async fn make_link(
        &self,
        request: Request<MakeLinkRequest>,
    ) -> Result<Response<MakeLinkResponse>, Status> {
        let caller = caller(&request)?;
        let made = links::make(&self.0.accounts, &caller, request.into_inner()).await;
        made.map(Response::new).map_err(status)
    }

    async fn list_links(
        &self,
        request: Request<ListLinksRequest>,
    ) -> Result<Response<ListLinksResponse>, Status> {
        let caller = caller(&request)?;
        let listed = links::list(&self.0.accounts, &caller, request.into_inner()).await;
        listed.map(Response::new).map_err(status)
    }

    async fn revoke_link(
        &self,
        request: Request<RevokeLinkRequest>,
    ) -> Result<Response<RevokeLinkResponse>, Status> {
        let caller = caller(&request)?;
        let revoked = links::revoke(&self.0.accounts, &caller, request.into_inner()).await;
        revoked.map_err(status)?;
        Ok(Response::new(RevokeLinkResponse {}))
    }

    async fn open_link(
        &self,
        request: Request<OpenLinkRequest>,
    ) -> Result<Response<OpenLinkResponse>, Status> {
        let opened = links::open(&self.0.accounts, request.into_inner()).await;
        opened.map(Response::new).map_err(status)
    }

    async fn grant(
        &self,
        request: Request<GrantRequest>,
    ) -> Result<Response<GrantResponse>, Status> {
        let caller = caller(&request)?;
        let grant = Some(self.make(&caller, request.into_inner()).await.map_err(status)?);
        Ok(Response::new(GrantResponse { grant }))
    }

    async fn revoke(
        &self,
        request: Request<RevokeRequest>,
    ) -> Result<Response<RevokeResponse>, Status> {
        let caller = caller(&request)?;
        self.take_back(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(RevokeResponse {}))
    }

    async fn list_grants(
        &self,
        request: Request<ListGrantsRequest>,
    ) -> Result<Response<ListGrantsResponse>, Status> {
        let caller = caller(&request)?;
        self.made(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn list_shared(
        &self,
        request: Request<ListSharedRequest>,
    ) -> Result<Response<ListSharedResponse>, Status> {
        let caller = caller(&request)?;
        self.had(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }
}
