//! Trust: the authority and the certificate of a first start, or certificates of the operator's own.
//!
//! Clients trust the authority, so the server's certificate can be made anew whenever its names change or
//! it is about to end. The server always sends its whole chain: a strict verifier that knows the
//! authority accepts it, and one that does not yet can be shown the authority's pin.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use crate::error::{Error, Kind, Result};
use crate::whole_file;

/// How long an authority is good: longer than the machine.
const AUTHORITY_DAYS: i64 = 20 * 365;
/// How long a certificate is good: what clients of all makers accept.
const CERTIFICATE_DAYS: i64 = 397;
/// A new one is made, at a start or in its hour, when less than this is left.
const RENEWED_DAYS_BEFORE: i64 = 60;
/// Clocks of machines differ.
const BACKDATED_DAYS: i64 = 1;

/// Where certificates come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Made here and kept in this folder, for these names besides the usual ones.
    Made {
        /// The folder.
        dir: PathBuf,
        /// DNS names and IP addresses.
        names: Vec<String>,
    },
    /// The operator's own, PEM.
    Given {
        /// The certificate and its chain, the certificate itself first.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// The certificate in force; another one can take its place while the server runs.
pub struct Certificates {
    origin: Origin,
    current: ArcSwap<CertifiedKey>,
}

impl Certificates {
    /// Loads, or makes what is not there yet.
    pub fn open(origin: Origin) -> Result<Self> {
        let current = ArcSwap::from_pointee(load(&origin)?);
        Ok(Self { origin, current })
    }

    /// Loads again; what is in force stays when that fails.
    pub fn reload(&self) -> Result<()> {
        self.current.store(Arc::new(load(&self.origin)?));
        Ok(())
    }

    /// Makes a certificate of our own anew when it is about to end. The operator's own are theirs to
    /// renew: they may be in the middle of it.
    pub fn renew(&self) -> Result<()> {
        match &self.origin {
            Origin::Made { .. } => self.reload(),
            Origin::Given { .. } => Ok(()),
        }
    }

    /// The pin of the topmost certificate that is sent: `sha256//` and the Base64 of the SHA-256 of its
    /// subject public key info (the form curl has).
    pub fn pin(&self) -> Result<String> {
        let chain = self.current.load();
        let top = chain.cert.last().ok_or_else(|| bad("there is no certificate"))?;
        let parsed = ParsedCertificate::try_from(top).map_err(|error| bad(error.to_string()))?;
        let digest = Sha256::digest(parsed.subject_public_key_info().as_ref());
        Ok(format!("sha256//{}", STANDARD.encode(digest)))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// TLS 1.3 alone, HTTP/2 alone.
pub fn server_config(certificates: Arc<Certificates>) -> Result<Arc<rustls::ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| Error::internal("tls", error))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Every client that comes again would cost a kilobyte of session otherwise.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn load(origin: &Origin) -> Result<CertifiedKey> {
    match origin {
        Origin::Given { cert, key } => read_pair(cert, key),
        Origin::Made { dir, names } => {
            let (cert, key) = (dir.join("server.pem"), dir.join("server-key.pem"));
            make_missing(dir, &all_names(names)?, (&cert, &key))?;
            read_pair(&cert, &key)
        }
    }
}

fn read_pair(cert: &Path, key: &Path) -> Result<CertifiedKey> {
    check_private(key)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(cert, "certificates", error))?;
    if chain.is_empty() {
        return Err(bad(format!("{} holds no certificate in PEM form", cert.display())));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable(key, "a private key", error))?;
    let provider: CryptoProvider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, private, &provider).map_err(|error| {
        bad(format!(
            "the certificate {} and the key {} do not go together; give the key that the \
             certificate was made for",
            cert.display(),
            key.display()
        ))
        .source(error)
    })?;
    Ok(certified)
}

/// A key that others can read is no key.
fn check_private(key: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = match fs::metadata(key) {
        Ok(found) => found.permissions().mode() & 0o7777,
        Err(error) => return Err(unreadable(key, "a private key", error)),
    };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let shown = key.display();
    let message = format!("the key {shown} can be read by others; run: chmod 600 {shown}");
    Err(Error::new(Kind::PermissionDenied, message))
}

/// What the certificate is for. The machine's own name counts only if it is one.
fn all_names(extra: &[String]) -> Result<Vec<String>> {
    if let Some(name) = extra.iter().find(|name| ServerName::try_from(name.as_str()).is_err()) {
        return Err(Error::field("--name", format!("{name:?} is no DNS name and no IP address")));
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = Some(host).filter(|name| ServerName::try_from(name.as_str()).is_ok());
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    names.extend(host.into_iter().chain(extra.iter().cloned()));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn make_missing(dir: &Path, names: &[String], (cert, key): (&Path, &Path)) -> Result<()> {
    let (ca_cert, ca_key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
    if !ca_cert.exists() {
        make_authority(&ca_cert, &ca_key)?;
    }
    check_private(&ca_key)?;
    let about = dir.join("server.names");
    if is_current(&about, names) && cert.exists() && key.exists() {
        return Ok(());
    }
    let authority = fs::read_to_string(&ca_cert)
        .map_err(|error| unreadable(&ca_cert, "the authority", error))?;
    let pem = fs::read_to_string(&ca_key)
        .map_err(|error| unreadable(&ca_key, "the authority's key", error))?;
    let issuer_key = KeyPair::from_pem(&pem)
        .map_err(|error| unreadable(&ca_key, "the authority's key", error))?;
    let issuer = Issuer::new(authority_params(), issuer_key);
    let leaf_key = KeyPair::generate().map_err(made_wrong)?;
    let (params, until) = leaf_params(names)?;
    let leaf = params.signed_by(&leaf_key, &issuer).map_err(made_wrong)?;
    whole_file::write(key, leaf_key.serialize_pem().as_bytes())?;
    whole_file::write(cert, format!("{}{authority}", leaf.pem()).as_bytes())?;
    whole_file::write(&about, described(names, until.unix_timestamp()).as_bytes())
}

/// What a certificate was made for: its last second, then its names.
fn described(names: &[String], until: i64) -> String {
    format!("{until}\n{}\n", names.join("\n"))
}

fn is_current(about: &Path, names: &[String]) -> bool {
    let Ok(text) = fs::read_to_string(about) else {
        return false;
    };
    let until = text.lines().next().and_then(|line| line.parse::<i64>().ok()).unwrap_or(0);
    let renew = OffsetDateTime::now_utc() + Duration::days(RENEWED_DAYS_BEFORE);
    until > renew.unix_timestamp() && text == described(names, until)
}

fn make_authority(cert: &Path, key: &Path) -> Result<()> {
    let pair = KeyPair::generate().map_err(made_wrong)?;
    let authority = authority_params().self_signed(&pair).map_err(made_wrong)?;
    // The key first: a certificate whose key is not there yet is never seen.
    whole_file::write(key, pair.serialize_pem().as_bytes())?;
    // Clients are given it, and whoever copies the directory may hand it on.
    whole_file::write_public(cert, authority.pem().as_bytes())
}

/// The same for making it and for signing with it: a certificate's issuer must be its subject.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Depot authority of this server");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(AUTHORITY_DAYS);
    params
}

fn leaf_params(names: &[String]) -> Result<(CertificateParams, OffsetDateTime)> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| {
        bad(format!("a name for the certificate is no DNS name and no IP address: {error}"))
    })?;
    let first = names.iter().find(|name| name.parse::<IpAddr>().is_err());
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, first.map_or("depot", String::as_str));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(CERTIFICATE_DAYS);
    let until = params.not_after;
    Ok((params, until))
}

fn validity(days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - Duration::days(BACKDATED_DAYS), now + Duration::days(days))
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(Kind::InvalidArgument, message).op("tls")
}

fn made_wrong(error: rcgen::Error) -> Error {
    Error::internal("tls.make", error)
}

fn unreadable(
    path: &Path,
    what: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let error = error.into();
    bad(format!("{} cannot be read as {what} in PEM form: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{Certificates, Origin};
    use crate::error::Kind;

    fn made(dir: &std::path::Path, names: &[&str]) -> Certificates {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Certificates::open(Origin::Made { dir: dir.to_owned(), names }).unwrap()
    }

    #[test]
    fn the_pin_outlives_a_change_of_names() {
        let dir = tempfile::tempdir().unwrap();
        let first = made(dir.path(), &[]);
        let leaf = first.current.load().cert[0].clone();
        assert_eq!(made(dir.path(), &[]).current.load().cert[0], leaf);
        let second = made(dir.path(), &["depot.example"]);
        assert_ne!(second.current.load().cert[0], leaf);
        assert_eq!(second.pin().unwrap(), first.pin().unwrap());
        assert_eq!(second.current.load().cert.len(), 2);
    }

    #[test]
    fn a_certificate_that_is_about_to_end_is_made_anew_while_the_server_runs() {
        let dir = tempfile::tempdir().unwrap();
        let server = made(dir.path(), &[]);
        let leaf = || server.current.load().cert[0].clone();
        let first = leaf();
        server.renew().unwrap();
        assert_eq!(leaf(), first, "it is good for long");
        let about = dir.path().join("server.names");
        let text = std::fs::read_to_string(&about).unwrap();
        let (until, names) = text.split_once('\n').unwrap();
        let nearly: i64 = until.parse::<i64>().unwrap() - 340 * 86_400;
        std::fs::write(&about, format!("{nearly}\n{names}")).unwrap();
        server.renew().unwrap();
        assert_ne!(leaf(), first);
    }

    #[test]
    fn the_authority_is_no_secret_and_the_keys_are() {
        let dir = tempfile::tempdir().unwrap();
        drop(made(dir.path(), &[]));
        for (file, mode) in [("ca.pem", 0o644), ("ca-key.pem", 0o600), ("server-key.pem", 0o600)] {
            let found = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{file}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(made(dir.path(), &[]));
        let key = dir.path().join("server-key.pem");
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
        let cert = dir.path().join("server.pem");
        let error = Certificates::open(Origin::Given { cert, key }).unwrap_err();
        assert_eq!(error.kind(), Kind::PermissionDenied);
        assert!(error.message().contains("chmod 600"));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop((made(one.path(), &[]), made(two.path(), &[])));
        let cert = one.path().join("server.pem");
        let key = two.path().join("server-key.pem");
        let error = Certificates::open(Origin::Given { cert, key }).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.message().contains("do not go together"));
    }
}
