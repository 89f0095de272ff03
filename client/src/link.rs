//! Links: what somebody shares with whoever has the URL. `https://HOST:PORT/l/SECRET#PIN` says where, what,
//! and whom to trust; what stands behind the `#` never leaves this machine.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use depot_proto::files::{OpenLinkRequest, OpenLinkResponse};
use secrecy::{ExposeSecret as _, SecretString};

use crate::app::App;
use crate::connect::{Address, Asked, Dialer, Opening, Pin, Repeat, Session, Trusted};
use crate::error::{Error, Exit, Result};
use crate::password;

/// Before the secret.
const PLACE: &str = "/l/";

/// A link as it is sent to somebody.
#[derive(Clone)]
pub(crate) struct LinkUrl {
    address: Address,
    secret: SecretString,
    pin: Option<Pin>,
}

/// A link that is used in place of a login.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LinkArgs {
    /// Use this link in place of a login
    #[arg(long, value_name = "URL")]
    pub(crate) link: Option<String>,
    /// The link's password is this file's first line
    #[arg(long, value_name = "FILE", requires = "link")]
    link_password_file: Option<PathBuf>,
}

/// A link that was opened.
pub(crate) struct Opened {
    pub(crate) session: Session,
    /// What it leads to.
    pub(crate) leads_to: OpenLinkResponse,
}

impl LinkUrl {
    pub(crate) fn new(address: Address, secret: String, pin: Option<Pin>) -> Self {
        Self { address, secret: SecretString::from(secret), pin }
    }

    fn parse(text: &str) -> Result<Self> {
        let problem = || {
            let message = format!(
                "`{text}` is no link; it is https://HOST:PORT/l/… as `depot link` prints it"
            );
            Error::usage(message)
        };
        let rest = text.trim().strip_prefix("https://").ok_or_else(problem)?;
        let (rest, pin) = match rest.split_once('#') {
            Some((rest, pin)) => (rest, Some(pin.parse()?)),
            None => (rest, None),
        };
        let (address, secret) = rest.split_once(PLACE).ok_or_else(problem)?;
        if secret.is_empty() {
            return Err(problem());
        }
        let address = Address::parse(address).map_err(|_| problem())?;
        Ok(Self { address, secret: SecretString::from(secret), pin })
    }
}

impl fmt::Display for LinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{PLACE}{}", self.address, self.secret.expose_secret())?;
        match self.pin {
            Some(pin) => write!(f, "#{pin}"),
            None => Ok(()),
        }
    }
}

impl LinkArgs {
    /// The link's session, if one was given.
    pub(crate) async fn open(&self, app: &App) -> Result<Option<Opened>> {
        let Some(text) = &self.link else {
            return Ok(None);
        };
        let url = LinkUrl::parse(text)?;
        let asked = Asked { ca: app.environment.ca.clone(), pin: url.pin, remembered: None };
        let trusted = Trusted::establish(app, &url.address, asked).await?;
        let guest = app.guest(&url.address, &trusted)?;
        let given = self.link_password_file.as_deref().map(password::from_file).transpose()?;
        let leads_to = match open(&guest, &url.secret, given.as_ref()).await {
            Err(error) if error.reason() == "LINK_PASSWORD" && given.is_none() => {
                let typed = password::ask(app, "Password of the link", "--link-password-file FILE")
                    .map_err(|asked| if app.is_interactive() { asked } else { error })?;
                open(&guest, &url.secret, Some(&typed)).await
            }
            done => done,
        };
        let leads_to = leads_to.map_err(|error| match error.exit() {
            Exit::NotFound => error.with_message("there is no such link, or it was taken back"),
            _ => error,
        })?;
        let session = Session::open(Opening {
            dialer: Dialer::new(url.address.clone(), trusted.authorities(), app.retry_for())?,
            address: url.address,
            account: None,
            token: Some(SecretString::from(leads_to.ticket.clone())),
            keeper: None,
            connections: app.connections(),
            retry_for: app.retry_for(),
            bwlimit: app.bwlimit(),
            output: Some(app.output.clone()),
        })?;
        Ok(Some(Opened { session, leads_to }))
    }
}

async fn open(
    guest: &Session,
    secret: &SecretString,
    password: Option<&SecretString>,
) -> Result<OpenLinkResponse> {
    let answer = guest.call(Repeat::Always, || async {
        let request = OpenLinkRequest {
            secret: secret.expose_secret().to_owned(),
            password: password.map(|password| password.expose_secret().to_owned()),
        };
        guest.sharing().open_link(request).await
    });
    answer.await
}

/// Whole seconds, at least one.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}

#[cfg(test)]
mod tests {
    use super::LinkUrl;

    const PIN: &str = "sha256//KG90c/u4u+VsNzAlg2Vvz2wlPnWrxdho1gTKMZ6wtzQ=";

    #[test]
    fn links_are_read_as_they_are_written() {
        for text in [
            "https://depot.example:7420/l/dpl_abc".to_owned(),
            format!("https://localhost:7420/l/dpl_abc#{PIN}"),
            format!("https://[::1]:9/l/dpl_abc#{PIN}"),
        ] {
            assert_eq!(LinkUrl::parse(&text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "depot.example:7420",
            "http://x/l/y",
            "https://x:1/l/",
            "https://x:1/y",
            "https://x:1/l/y#pin",
            "https:///l/y",
        ] {
            assert!(LinkUrl::parse(text).is_err(), "{text:?}");
        }
    }
}
