//! Links: the rules. The owner of a tree makes them and takes them back; whoever holds the secret of one opens
//! it, and is let in by the ticket that this gives.
//!
//! Who has the secret may know that the link has ended; to everybody else there is none. A wrong password is
//! counted like those of accounts, for each link.

use secrecy::{ExposeSecret, SecretString};

use crate::accounts::Accounts;
use crate::db::{Link, LinkUse, NewLink};
use crate::error::{Error, Kind, Result};
use crate::model::{Caller, LinkId, Location, TreePath, Visitor};
use crate::token::{PlainToken, Use};

/// How long a ticket is good: a day. A download that takes longer goes on.
const TICKET_MS: i64 = 24 * 3_600_000;

/// What a link shall be.
pub struct LinkTerms {
    /// What it lets its holder do.
    pub purpose: LinkUse,
    /// Needed to open it.
    pub password: Option<SecretString>,
    /// Milliseconds that it is good for.
    pub lifetime_ms: Option<i64>,
    /// How often it may be used.
    pub uses_max: Option<u32>,
}

/// A link that was opened.
pub struct Opened {
    /// What it is.
    pub link: Link,
    /// Goes with every call.
    pub ticket: PlainToken,
    /// When that ends, in milliseconds since 1970.
    pub expires_at: i64,
}

impl Accounts {
    /// Makes a link to an entry of the caller's tree; with its secret, which nobody can ask for later.
    pub async fn make_link(
        &self,
        caller: &Caller,
        at: &Location,
        terms: LinkTerms,
    ) -> Result<(Link, PlainToken)> {
        let path = own(caller, at)?;
        let secret = PlainToken::new(Use::Link)?;
        let password = match terms.password {
            Some(password) => Some(self.hashed(password).await?),
            None => None,
        };
        let now = self.clock.now();
        let new = NewLink {
            owner: caller.account,
            secret: secret.hash(),
            path,
            purpose: terms.purpose,
            password,
            expires_at: terms.lifetime_ms.map(|ms| now.saturating_add(ms)),
            uses_max: terms.uses_max,
            links_max: self.limits.links_max,
            now,
        };
        let link = self.db.make_link(new).await?;
        tracing::info!(owner = %caller.name, path = %at, link = %link.id, "a link was made");
        Ok((link, secret))
    }

    /// The caller's links, those after `after`; where to go on.
    pub async fn links(
        &self,
        caller: &Caller,
        after: Option<LinkId>,
        limit: usize,
    ) -> Result<(Vec<Link>, Option<LinkId>)> {
        self.db.links(caller.account, after, limit, self.clock.now()).await
    }

    /// Takes a link back.
    pub async fn revoke_link(&self, caller: &Caller, id: LinkId) -> Result<()> {
        let revoked = self.db.revoke_link(caller.account, id).await;
        tracing::info!(owner = %caller.name, link = %id, done = revoked.is_ok(), "a link was revoked");
        revoked
    }

    /// Opens a link.
    pub async fn open_link(&self, secret: &str, password: Option<SecretString>) -> Result<Opened> {
        let unknown = || Error::not_found("this link");
        let secret = PlainToken::parse(secret, Use::Link).ok_or_else(unknown)?;
        let now = self.clock.now();
        let link = self.db.link(secret.hash(), now).await?.ok_or_else(unknown)?;
        if link.expires_at.is_some_and(|ends| now >= ends) {
            let message = "this link has ended; ask whoever sent it for another one";
            return Err(Error::new(Kind::LinkExpired, message));
        }
        if let Some(stored) = &link.password {
            self.check(&link, stored, password).await?;
        }
        let ticket = PlainToken::new(Use::Ticket)?;
        let ends = link.expires_at.unwrap_or(i64::MAX).min(now.saturating_add(TICKET_MS));
        self.db.open_link(link.id, ticket.hash(), ends, now).await?;
        tracing::info!(link = %link.id, owner = %link.owner, "a link was opened");
        Ok(Opened { link, ticket, expires_at: ends })
    }

    async fn check(&self, link: &Link, stored: &str, given: Option<SecretString>) -> Result<()> {
        let Some(given) = given else {
            return Err(Error::new(Kind::LinkPassword, "this link needs a password"));
        };
        let key = format!("link {}", link.id);
        self.guesses.begin(&key, self.clock.now())?;
        let too_long = given.expose_secret().len() > self.limits.password_bytes_max;
        let given = if too_long { SecretString::from("") } else { given };
        if !self.passwords.verify(given, Some(stored.to_owned())).await? {
            return Err(Error::new(Kind::LinkPassword, "this is not the link's password"));
        }
        self.guesses.forgive(&key);
        Ok(())
    }

    /// Whose ticket it is; `None` when it is no ticket.
    pub async fn visitor(&self, token: &str) -> Result<Option<Visitor>> {
        let Some(ticket) = PlainToken::parse(token, Use::Ticket) else {
            return Ok(None);
        };
        let ticket = ticket.hash();
        let Some(found) = self.db.ticket(ticket, self.clock.now()).await? else {
            let message = "this link was taken back, or has ended; open it again";
            return Err(Error::new(Kind::Unauthenticated, message));
        };
        let drops = found.purpose == LinkUse::Drop;
        Ok(Some(Visitor { link: found.link, ticket, owner: found.owner, drops }))
    }
}

/// A path in the caller's own tree.
fn own(caller: &Caller, at: &Location) -> Result<TreePath> {
    match &at.owner {
        Some(owner) if owner.key() != caller.name.key() => {
            Err(Error::field("path", format!("{at} is not yours to share; ask {owner}")))
        }
        _ => Ok(at.path.clone()),
    }
}
