//! Judges the chain of certificates that a server presents: it must lead to an authority that is
//! trusted and be valid for the host that was asked for. What was presented is kept, so that a refusal
//! can name the pin that was seen.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::{Address, Pin};
use crate::error::{Error, Exit, Result};

/// Verifies against given authorities, or only looks (a probe, which every handshake fails).
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    inner: Option<Arc<WebPkiServerVerifier>>,
    trusted: Vec<Pin>,
    presented: Mutex<Option<CertificateDer<'static>>>,
}

impl Verifier {
    /// Trusts chains that lead to one of `authorities`.
    pub(super) fn of(
        provider: Arc<CryptoProvider>,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|error| {
                Error::new(
                    Exit::Trust,
                    "BAD_CA",
                    format!("the CA certificate is of no use: {error}"),
                )
            })?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let inner = verifier.build().map_err(|error| {
            Error::new(Exit::Trust, "BAD_CA", format!("the CA certificate is of no use: {error}"))
        })?;
        let trusted = authorities.iter().map(Pin::of).collect::<Result<_>>()?;
        Ok(Self { provider, inner: Some(inner), trusted, presented: Mutex::new(None) })
    }

    /// Trusts nobody, and keeps what was presented.
    pub(super) fn probe(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, inner: None, trusted: Vec::new(), presented: Mutex::new(None) }
    }

    /// The last certificate of the chain that was seen: the authority's, with servers of ours.
    pub(super) fn presented(&self) -> Option<CertificateDer<'static>> {
        self.presented.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a refused handshake means to a person.
    pub(super) fn explain(&self, address: &Address, error: &TlsError) -> Error {
        let TlsError::InvalidCertificate(problem) = error else {
            let message = format!("{address} does not speak TLS 1.3 as it should: {error}");
            return Error::new(Exit::Trust, "TLS_FAILED", message);
        };
        match problem {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                wrong_name(address, problem)
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Error::new(
                Exit::Trust,
                "CERTIFICATE_EXPIRED",
                format!(
                    "the certificate of {address} has expired; restart the server, or set the clock"
                ),
            ),
            _ => self.wrong_issuer(address, problem),
        }
    }

    fn wrong_issuer(&self, address: &Address, problem: &CertificateError) -> Error {
        let seen = self.presented().and_then(|certificate| Pin::of(&certificate).ok());
        let (Some(seen), Some(trusted)) = (seen, self.trusted.first()) else {
            let message = format!("the certificate of {address} is not good: {problem}");
            return Error::new(Exit::Trust, "BAD_CERTIFICATE", message);
        };
        if self.trusted.contains(&seen) {
            let message = format!("the certificate of {address} is not good: {problem}");
            return Error::new(Exit::Trust, "BAD_CERTIFICATE", message);
        }
        let message = format!(
            "{address} is not the server that is trusted here: its pin is {seen}, the trusted one is \
             {trusted}. If whoever runs it says that it changed, log in again with --pin {seen}; \
             otherwise somebody may be in between"
        );
        Error::new(Exit::Trust, "PIN_CHANGED", message)
    }
}

fn wrong_name(address: &Address, problem: &CertificateError) -> Error {
    let names = match problem {
        CertificateError::NotValidForNameContext { presented, .. } => {
            presented.iter().map(|name| plain_name(name)).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    };
    let instead = if names.is_empty() { "another name".to_owned() } else { names };
    let message = format!(
        "the certificate of {address} is not for {}, but for {instead}; use such a name with --server, \
         or start the server with --name {}",
        address.host(),
        address.host()
    );
    Error::new(Exit::Trust, "WRONG_NAME", message)
}

/// `DnsName("localhost")` and `IpAddress(127.0.0.1)`, as webpki shows them, without the wrapping.
fn plain_name(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(shown).trim_matches('"')
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let last = intermediates.last().unwrap_or(end_entity).clone().into_owned();
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        match &self.inner {
            Some(inner) => {
                inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(TlsError::General("only looking".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
