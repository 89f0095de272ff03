//! GroupsService: the words of groups.

use depot_proto::auth::groups_service_server::GroupsService;
use depot_proto::auth::{
    CreateGroupRequest, CreateGroupResponse, Group as ProtoGroup, ListGroupsRequest,
    ListGroupsResponse, ListMembersRequest, ListMembersResponse, Member as ProtoMember,
    RemoveGroupRequest, RemoveGroupResponse, UpdateMembersRequest, UpdateMembersResponse,
};
use tonic::{Request, Response, Status, async_trait};

use crate::accounts::Group;
use crate::error::Result;
use crate::model::{AccountName, Caller, GroupName};
use crate::rpc::auth_layer::caller;
use crate::rpc::status::status;
use crate::rpc::{Rooms, page_token};

/// Answers GroupsService.
pub(super) struct Groups(Rooms);

impl Groups {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }

    async fn create(&self, caller: &Caller, wanted: CreateGroupRequest) -> Result<ProtoGroup> {
        let name = GroupName::parse(&wanted.name)?;
        let members = accounts(&wanted.members)?;
        self.0.accounts.create_group(caller, &name, members).await.map(group)
    }

    async fn list(&self, wanted: ListGroupsRequest) -> Result<ListGroupsResponse> {
        let after = page_token::decode(&wanted.page_token)?.unwrap_or_default();
        let size = page_token::size(wanted.page_size, 100, 1_000);
        let found = self.0.accounts.groups(&after, size).await?;
        let last = found.last().filter(|_| found.len() == size).map(|group| group.name.key());
        Ok(ListGroupsResponse {
            groups: found.into_iter().map(group).collect(),
            next_page_token: page_token::encode(last.as_deref()),
        })
    }

    async fn members(
        &self,
        caller: &Caller,
        wanted: ListMembersRequest,
    ) -> Result<ListMembersResponse> {
        let name = GroupName::parse(&wanted.group)?;
        let after = page_token::decode(&wanted.page_token)?.unwrap_or_default();
        let size = page_token::size(wanted.page_size, 100, 1_000);
        let found = self.0.accounts.members(caller, &name, &after, size).await?;
        let last = found.last().filter(|_| found.len() == size).map(|member| member.account.key());
        let member = |member: crate::accounts::Member| ProtoMember {
            account: member.account.to_string(),
            owns: member.owns,
        };
        Ok(ListMembersResponse {
            members: found.into_iter().map(member).collect(),
            next_page_token: page_token::encode(last.as_deref()),
        })
    }

    async fn update(&self, caller: &Caller, wanted: UpdateMembersRequest) -> Result<ProtoGroup> {
        let name = GroupName::parse(&wanted.group)?;
        let (include, exclude) = (accounts(&wanted.include)?, accounts(&wanted.exclude)?);
        self.0.accounts.change_members(caller, &name, include, exclude).await.map(group)
    }

    async fn remove(&self, caller: &Caller, wanted: RemoveGroupRequest) -> Result<()> {
        let name = GroupName::parse(&wanted.group)?;
        self.0.accounts.remove_group(caller, &name).await
    }
}

fn accounts(names: &[String]) -> Result<Vec<AccountName>> {
    names.iter().map(|name| AccountName::parse(name)).collect()
}

fn group(group: Group) -> ProtoGroup {
    ProtoGroup { name: group.name.to_string(), members: group.members }
}

#[async_trait]
impl GroupsService for Groups {
    async fn create_group(
        &self,
        request: Request<CreateGroupRequest>,
    ) -> Result<Response<CreateGroupResponse>, Status> {
        let caller = caller(&request)?;
        let group = Some(self.create(&caller, request.into_inner()).await.map_err(status)?);
        Ok(Response::new(CreateGroupResponse { group }))
    }

    async fn list_groups(
        &self,
        request: Request<ListGroupsRequest>,
    ) -> Result<Response<ListGroupsResponse>, Status> {
        self.list(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let caller = caller(&request)?;
        self.members(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn update_members(
        &self,
        request: Request<UpdateMembersRequest>,
    ) -> Result<Response<UpdateMembersResponse>, Status> {
        let caller = caller(&request)?;
        let group = Some(self.update(&caller, request.into_inner()).await.map_err(status)?);
        Ok(Response::new(UpdateMembersResponse { group }))
    }

    async fn remove_group(
        &self,
        request: Request<RemoveGroupRequest>,
    ) -> Result<Response<RemoveGroupResponse>, Status> {
        let caller = caller(&request)?;
        self.remove(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(RemoveGroupResponse {}))
    }
}
