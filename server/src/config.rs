//! The configuration: one page of TOML, every key of which has a default. Flags come before the
//! environment (`DEPOTD_<SECTION>_<KEY>`), that before the file, that before the defaults. A key that is
//! not known is an error, wherever it stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Limits;

/// What the environment's names begin with.
const PREFIX: &str = "DEPOTD_";

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the server listens and what it is called.
    pub server: Server,
    /// How long logins are good.
    pub login: Login,
    /// How things are stored.
    pub store: Store,
    /// What is logged.
    pub log: Log,
    /// What is too much.
    pub limits: Limits,
}

/// Where the server listens and what it is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The data directory.
    pub data: PathBuf,
    /// Address and port; port 0 takes one that is free.
    pub listen: String,
    /// More names and addresses for the certificate.
    pub names: Vec<String>,
    /// A certificate of one's own, PEM, with its chain.
    pub cert: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
}

/// How long logins are good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Login {
    /// Minutes that a token is good; clients renew theirs by themselves.
    pub token_minutes: u64,
    /// Days after which a login that was not used ends.
    pub idle_days: u64,
}

/// How things are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Bytes at which a pack of chunks is closed and the next begun.
    pub pack_bytes_max: u64,
    /// Bytes of the database's page cache.
    pub cache_bytes: u64,
    /// Connections that read the database.
    pub readers: usize,
    /// Days that removed entries are kept.
    pub trash_days: u64,
    /// Past versions of a file that are kept; when there are more, the oldest ones go.
    pub versions_max: u32,
    /// Days that past versions of files are kept.
    pub version_days: u64,
    /// Days that clients who were away can still be told of what is gone; one that was away for longer
    /// gets everything there is.
    pub tombstone_days: u64,
    /// Hours between two runs of the collector; 0: only by `depot-server gc`.
    pub gc_hours: u64,
    /// Bytes of chunks that the collector moves out of mostly dead packs in a second; 0: as fast as it
    /// goes. `depot-server gc`, which nobody else waits for, always goes as fast as it can.
    pub compact_bytes_per_second: u64,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// As in `info` or `warn,depot_server=debug`.
    pub filter: String,
    /// `human`, `json`, or `auto`: human on a terminal.
    pub format: LogFormat,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Human,
    /// An object a line.
    Json,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            data: PathBuf::from("depot-data"),
            listen: "127.0.0.1:7420".to_owned(),
            names: Vec::new(),
            cert: None,
            key: None,
        }
    }
}

impl Default for Login {
    fn default() -> Self {
        Self { token_minutes: 12 * 60, idle_days: 30 }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            pack_bytes_max: 512 << 20,
            cache_bytes: 32 << 20,
            readers: 4,
            trash_days: 30,
            versions_max: 100,
            version_days: 365,
            tombstone_days: 90,
            gc_hours: 24,
            compact_bytes_per_second: 32 << 20,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

impl Config {
    /// Reads the file, if one is given, and lays the environment over it.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                Error::field("--config", format!("{}: {error}", path.display()))
            })?,
        };
        let name = file.map_or_else(String::new, |path| path.display().to_string());
        // For its message, which shows the line.
        toml::from_str::<Self>(&text)
            .map_err(|error| Error::field("--config", format!("{name}: {error}")))?;
        let mut table: toml::Table =
            toml::from_str(&text).map_err(|error| Error::internal("config", error))?;
        overlay(&mut table, environment)?;
        let config: Self = serde_path_to_error::deserialize(table).map_err(|error| {
            let key = error.path().to_string().replace('.', "_").to_uppercase();
            Error::field(format!("{PREFIX}{key}"), error.into_inner().to_string())
        })?;
        config.checked()
    }

    fn checked(self) -> Result<Self> {
        if self.server.cert.is_some() != self.server.key.is_some() {
            return Err(Error::field("server.cert", "a certificate and its key go together"));
        }
        if !(1..=30).contains(&self.limits.heartbeat_seconds) {
            return Err(Error::field("limits.heartbeat_seconds", "1 to 30"));
        }
        if self.limits.buffered_bytes_max < 32 << 20 {
            return Err(Error::field("limits.buffered_bytes_max", "at least 32 MiB (33554432)"));
        }
        if self.store.readers == 0 || self.store.pack_bytes_max < 16 << 20 {
            return Err(Error::field("store", "at least 1 reader, and packs of at least 16 MiB"));
        }
        if self.login.token_minutes == 0 || self.login.idle_days == 0 {
            return Err(Error::field("login", "a token is good for a minute, a login for a day"));
        }
        Ok(self)
    }
}

fn overlay(
    table: &mut toml::Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<()> {
    let ours: BTreeMap<String, String> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)))
        .collect();
    for (name, value) in ours {
        let Some((section, key)) = name.split_once('_') else {
            let problem = "names are DEPOTD_<SECTION>_<KEY>, such as DEPOTD_SERVER_LISTEN";
            return Err(Error::field(format!("{PREFIX}{name}"), problem));
        };
        let entry = table
            .entry(section.to_lowercase())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let toml::Value::Table(section) = entry {
            section.insert(key.to_lowercase(), typed(&value));
        }
    }
    Ok(())
}

/// A number, a list or a truth value where it reads like one, otherwise text.
fn typed(value: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    parsed
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::Config;

    fn load(text: &str, environment: &[(&str, &str)]) -> crate::error::Result<Config> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(file.path()), environment)
    }

    #[test]
    fn the_environment_goes_before_the_file_and_that_before_the_defaults() {
        let text = "[server]\nlisten = \"[::1]:1\"\n[limits]\nstreams_max = 7\n";
        let config = load(text, &[("DEPOTD_LIMITS_STREAMS_MAX", "9"), ("HOME", "/x")]).unwrap();
        assert_eq!(config.server.listen, "[::1]:1");
        assert_eq!(config.limits.streams_max, 9);
        assert_eq!(config.login, Config::default().login);
        let config = load("", &[("DEPOTD_SERVER_LISTEN", "127.0.0.1:0")]).unwrap();
        assert_eq!(config.server.listen, "127.0.0.1:0");
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_line() {
        let error = load("[server]\n\nlisen = \"x\"\n", &[]).unwrap_err();
        assert!(error.message().contains("line 3"), "{}", error.message());
        assert!(error.message().contains("lisen"), "{}", error.message());
        let error = load("", &[("DEPOTD_SERVER_LISEN", "x")]).unwrap_err();
        assert!(error.message().contains("DEPOTD_SERVER"), "{}", error.message());
        assert!(load("", &[("DEPOTD_LIMITS_STREAMS_MAX", "many")]).is_err());
        assert!(load("", &[("DEPOTD_NONSENSE", "1")]).is_err());
    }
}
