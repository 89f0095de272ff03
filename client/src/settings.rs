//! What the environment says. Flags come before it, what is remembered comes after it.

use std::env;
use std::path::PathBuf;

use secrecy::SecretString;

/// The `DEPOT_…` variables that are set and not empty. `DEPOT_RETRY_FOR` belongs to its flag.
#[derive(Default)]
pub(crate) struct Environment {
    pub(crate) server: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) token: Option<SecretString>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) pin: Option<String>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) password_file: Option<PathBuf>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        Self {
            server: text("DEPOT_SERVER"),
            account: text("DEPOT_ACCOUNT"),
            token: text("DEPOT_TOKEN").map(SecretString::from),
            ca: path("DEPOT_CA"),
            pin: text("DEPOT_PIN"),
            state_dir: path("DEPOT_STATE_DIR"),
            password_file: path("DEPOT_PASSWORD_FILE"),
        }
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
