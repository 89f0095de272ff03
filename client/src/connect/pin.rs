//! A pin: the SHA-256 of a certificate authority's public key, `sha256//BASE64`. It is short enough to
//! be read aloud, and stays the same when the certificate is made again with the same key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// The hash of one public key (its SubjectPublicKeyInfo in DER).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin([u8; 32]);

impl Pin {
    /// The pin of a certificate's key.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Self> {
        let parsed = ParsedCertificate::try_from(certificate)
            .map_err(|error| Error::bad_answer(format!("a certificate cannot be read: {error}")))?;
        Ok(Self(Sha256::digest(parsed.subject_public_key_info()).into()))
    }
}

impl FromStr for Pin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = text.strip_prefix("sha256//").and_then(|hash| STANDARD.decode(hash).ok());
        let hash = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        hash.map(Self).ok_or_else(|| {
            Error::usage(format!(
                "`{text}` is no pin; it is sha256// and 44 characters, as the server prints it at its start"
            ))
        })
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256//{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::Pin;

    #[test]
    fn a_pin_reads_back_as_it_is_shown() {
        let text = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(text.parse::<Pin>().unwrap().to_string(), text);
        for wrong in
            ["", "sha256//", "sha256//AAAA", "sha1//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
        {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong:?}");
        }
    }

    /// Made with openssl, its pin computed by `openssl x509 -pubkey | openssl pkey -pubin -outform der |
    /// openssl dgst -sha256 -binary | base64`.
    #[test]
    fn the_pin_is_the_one_that_openssl_computes() {
        let pem = include_bytes!("testdata/ca.pem");
        let certificate = CertificateDer::from_pem_slice(pem).unwrap();
        let expected = include_str!("testdata/ca.pin").trim();
        assert_eq!(Pin::of(&certificate).unwrap().to_string(), expected);
    }
}
