//! Where the server is: `host:port`, as it is typed and as it is remembered.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use rustls::pki_types::ServerName;

use crate::error::{Error, Result};

/// The port where no other is given.
const PORT: u16 = 7420;

/// A host by name or by number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// `host`, `host:port`, `1.2.3.4:port`, `[::1]:port`; an `https://` before it is ignored.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let problem = || {
            Error::usage(format!("`{text}` is no server; write HOST:PORT, such as localhost:7420"))
        };
        let bare = text.trim().strip_prefix("https://").unwrap_or(text.trim());
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let (host, port) = split(bare).ok_or_else(problem)?;
        let host = host.to_ascii_lowercase();
        if ServerName::try_from(host.as_str()).is_err() {
            return Err(problem());
        }
        Ok(Self { host, port })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is this machine to whoever uses it.
    pub(crate) fn is_here(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(number) => number.is_loopback(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// What the certificate must be valid for.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>> {
        ServerName::try_from(self.host.clone())
            .map_err(|_| Error::usage(format!("`{}` is no host name", self.host)))
    }

    /// What stands behind the `@` of a mail address here (RFC 5321, 4.1.3 for numbers).
    pub(crate) fn mail_domain(&self) -> String {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(number)) => format!("[{number}]"),
            Ok(IpAddr::V6(number)) => format!("[IPv6:{number}]"),
            Err(_) => self.host.clone(),
        }
    }
}

fn split(text: &str) -> Option<(&str, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok()?)),
            None => rest.is_empty().then_some((host, PORT)),
        };
    }
    match text.split_once(':') {
        // More than one colon: an address of version 6 without brackets, and so without a port.
        Some((_, rest)) if rest.contains(':') => {
            text.parse::<Ipv6Addr>().ok().map(|_| (text, PORT))
        }
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((text, PORT)),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn shown(text: &str) -> Option<String> {
        Address::parse(text).ok().map(|address| address.to_string())
    }

    #[test]
    fn an_address_is_read_in_all_its_forms() {
        assert_eq!(shown("localhost:7421").as_deref(), Some("localhost:7421"));
        assert_eq!(shown("Depot.Example").as_deref(), Some("depot.example:7420"));
        assert_eq!(shown("127.0.0.1:1").as_deref(), Some("127.0.0.1:1"));
        assert_eq!(shown("[::1]:7420").as_deref(), Some("[::1]:7420"));
        assert_eq!(shown("::1").as_deref(), Some("[::1]:7420"));
        assert_eq!(shown("https://a.b:80/").as_deref(), Some("a.b:80"));
        for wrong in
            ["", ":7420", "a:b", "a:99999", "[::1", "[x]:1", "a b:1", "http://a:1", "a/b:1"]
        {
            assert_eq!(shown(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_number_is_a_mail_domain_in_brackets() {
        let domain = |text| Address::parse(text).unwrap().mail_domain();
        assert_eq!(domain("depot.example:1"), "depot.example");
        assert_eq!(domain("127.0.0.1:1"), "[127.0.0.1]");
        assert_eq!(domain("[::1]:1"), "[IPv6:::1]");
    }
}
