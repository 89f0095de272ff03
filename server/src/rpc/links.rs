//! SharingService's words of links.

use depot_proto::files::{
    Link as ProtoLink, LinkUse as ProtoUse, ListLinksRequest, ListLinksResponse, MakeLinkRequest,
    MakeLinkResponse, OpenLinkRequest, OpenLinkResponse, RevokeLinkRequest,
};
use secrecy::SecretString;

use crate::accounts::{Accounts, Link, LinkTerms, LinkUse, Opened};
use crate::error::{Error, Result};
use crate::model::{Caller, FileName, LinkId, Location};
use crate::rpc::convert::{kind, time};
use crate::rpc::page_token;

/// Makes a link.
pub(super) async fn make(
    accounts: &Accounts,
    caller: &Caller,
    wanted: MakeLinkRequest,
) -> Result<MakeLinkResponse> {
    let at = Location::parse(&wanted.path, "path")?;
    let purpose = match wanted.r#use() {
        ProtoUse::Read => LinkUse::Read,
        ProtoUse::Drop => LinkUse::Drop,
        ProtoUse::Unspecified => return Err(Error::field("use", "to read, or to drop files")),
    };
    if wanted.uses_max == Some(0) {
        return Err(Error::field("uses_max", "a link that may not be used is none; at least 1"));
    }
    let lifetime = wanted
        .lifetime_seconds
        .map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
    let terms = LinkTerms {
        purpose,
        password: wanted.password.map(SecretString::from),
        lifetime_ms: lifetime,
        uses_max: wanted.uses_max,
    };
    let (made, secret) = accounts.make_link(caller, &at, terms).await?;
    Ok(MakeLinkResponse { link: Some(link(made)), secret: secret.reveal().to_owned() })
}

/// A page of the caller's links.
pub(super) async fn list(
    accounts: &Accounts,
    caller: &Caller,
    wanted: ListLinksRequest,
) -> Result<ListLinksResponse> {
    let after = page_token::decode(&wanted.page_token)?;
    let after = after.map(|place| LinkId::parse(&place)).transpose()?;
    let size = page_token::size(wanted.page_size, 100, 1_000);
    let (found, next) = accounts.links(caller, after, size).await?;
    let next = next.map(|id| id.to_string());
    Ok(ListLinksResponse {
        links: found.into_iter().map(link).collect(),
        next_page_token: page_token::encode(next.as_deref()),
    })
}

/// Takes a link back.
pub(super) async fn revoke(
    accounts: &Accounts,
    caller: &Caller,
    wanted: RevokeLinkRequest,
) -> Result<()> {
    accounts.revoke_link(caller, LinkId::parse(&wanted.id)?).await
}

/// Opens a link.
pub(super) async fn open(accounts: &Accounts, wanted: OpenLinkRequest) -> Result<OpenLinkResponse> {
    let password = wanted.password.map(SecretString::from);
    let Opened { link, ticket, expires_at } = accounts.open_link(&wanted.secret, password).await?;
    let name = link.path.split_last().map_or("", |(name, _)| FileName::as_str(name));
    let mut answer = OpenLinkResponse {
        ticket: ticket.reveal().to_owned(),
        expires_at: Some(time(expires_at)),
        name: name.to_owned(),
        owner: link.owner.to_string(),
        ..OpenLinkResponse::default()
    };
    answer.set_use(purpose(link.purpose));
    answer.set_kind(kind(link.kind));
    Ok(answer)
}

fn purpose(purpose: LinkUse) -> ProtoUse {
    match purpose {
        LinkUse::Read => ProtoUse::Read,
        LinkUse::Drop => ProtoUse::Drop,
    }
}

fn link(link: Link) -> ProtoLink {
    ProtoLink {
        id: link.id.to_string(),
        path: link.path.to_string(),
        kind: kind(link.kind).into(),
        r#use: purpose(link.purpose).into(),
        has_password: link.password.is_some(),
        expires_at: link.expires_at.map(time),
        uses_max: link.uses_max,
        uses: link.uses,
        made_at: Some(time(link.made_at)),
    }
}
