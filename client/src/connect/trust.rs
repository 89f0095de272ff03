//! Decides which certificate authority is trusted for a server: the one in `--ca`, the one that `--pin`
//! names, the one that is remembered, or, at first contact, the one that a person says yes to.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{Address, Pin, probe};
use crate::app::App;
use crate::error::{Error, Exit, Result};

/// Authorities that a server's certificate may lead to; never empty.
#[derive(Clone)]
pub(crate) struct Trusted(Vec<CertificateDer<'static>>);

/// What was given to go by.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) pin: Option<Pin>,
    /// In PEM, from an earlier login to the same server.
    pub(crate) remembered: Option<String>,
}

impl Trusted {
    /// Finds out whom to trust; asks at first contact.
    pub(crate) async fn establish(app: &App, address: &Address, asked: Asked) -> Result<Self> {
        if let Some(path) = &asked.ca {
            let file = std::fs::read(path).map_err(|error| Error::file("read", path, &error))?;
            let trusted = Self::read(&file)?;
            return match asked.pin {
                Some(pin) => trusted.having(pin),
                None => Ok(trusted),
            };
        }
        let remembered = asked.remembered.map(|pem| Self::read(pem.as_bytes())).transpose()?;
        match (asked.pin, remembered) {
            (Some(pin), Some(remembered)) if remembered.has(pin) => Ok(remembered),
            (Some(pin), _) => Self::by_pin(app, address, pin).await,
            (None, Some(remembered)) => Ok(remembered),
            (None, None) => Self::first_contact(app, address).await,
        }
    }

    /// The pin of the one authority that is trusted, if it is one.
    pub(crate) fn pin(asked: Asked) -> Result<Option<Pin>> {
        let trusted = match (asked.ca, asked.pin, asked.remembered) {
            (_, Some(pin), _) => return Ok(Some(pin)),
            (Some(path), ..) => Self::read(
                &std::fs::read(&path).map_err(|error| Error::file("read", &path, &error))?,
            )?,
            (None, None, Some(pem)) => Self::read(pem.as_bytes())?,
            (None, None, None) => return Ok(None),
        };
        match &trusted.0[..] {
            [only] => Pin::of(only).map(Some),
            _ => Ok(None),
        }
    }

    /// The authorities themselves.
    pub(crate) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// As they are remembered.
    pub(crate) fn to_pem(&self) -> String {
        self.0.iter().map(pem).collect()
    }

    /// PEM, or one certificate in DER.
    fn read(file: &[u8]) -> Result<Self> {
        let problem = || {
            let message =
                "the CA file holds no certificate; it is the tls/ca.pem of the server's data";
            Error::new(Exit::Trust, "BAD_CA", message)
        };
        let found: Vec<_> = CertificateDer::pem_slice_iter(file)
            .collect::<Result<_, _>>()
            .map_err(|_| problem())?;
        if !found.is_empty() {
            return Ok(Self(found));
        }
        let der = CertificateDer::from(file.to_vec());
        Pin::of(&der).map_err(|_| problem())?;
        Ok(Self(vec![der]))
    }

    fn has(&self, pin: Pin) -> bool {
        self.0.iter().any(|authority| Pin::of(authority).is_ok_and(|found| found == pin))
    }

    fn having(self, pin: Pin) -> Result<Self> {
        if self.has(pin) {
            return Ok(self);
        }
        let message = format!("the CA file does not hold the authority with the pin {pin}");
        Err(Error::new(Exit::Trust, "PIN_MISMATCH", message))
    }

    async fn by_pin(app: &App, address: &Address, pin: Pin) -> Result<Self> {
        let seen = app.patiently(|| probe(address, app.retry_for())).await?;
        let found = Pin::of(&seen)?;
        if found == pin {
            return Ok(Self(vec![seen]));
        }
        let message = format!(
            "{address} is not the server that was asked for: its pin is {found}, the one given is {pin}; \
             compare it with what the server prints at its start"
        );
        Err(Error::new(Exit::Trust, "PIN_MISMATCH", message))
    }

    async fn first_contact(app: &App, address: &Address) -> Result<Self> {
        let seen = app.patiently(|| probe(address, app.retry_for())).await?;
        let pin = Pin::of(&seen)?;
        let question = format!(
            "This is the first contact with {address}. Its pin is\n  {pin}\nThe server prints its own \
             at its start. Is it the same?"
        );
        // Whom to trust is not said in advance where there is nobody who looks.
        if !app.has_no_input() && app.confirm(&question)? {
            return Ok(Self(vec![seen]));
        }
        let message = format!(
            "{address} is not known yet. Its pin is {pin}; if that is what the server prints at its \
             start, give --pin {pin}"
        );
        Err(Error::new(Exit::Trust, "UNKNOWN_SERVER", message))
    }
}

/// RFC 7468.
fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut shown = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        shown.push_str(&String::from_utf8_lossy(line));
        shown.push('\n');
    }
    shown.push_str("-----END CERTIFICATE-----\n");
    shown
}

#[cfg(test)]
mod tests {
    use super::{Pin, Trusted};

    const CA: &[u8] = include_bytes!("testdata/ca.pem");

    #[test]
    fn an_authority_is_remembered_as_it_was_given() {
        let trusted = Trusted::read(CA).unwrap();
        let again = Trusted::read(trusted.to_pem().as_bytes()).unwrap();
        assert_eq!(trusted.authorities(), again.authorities());
        let der = Trusted::read(&trusted.authorities()[0]).unwrap();
        assert_eq!(der.authorities(), trusted.authorities());
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        assert!(Trusted::read(b"").is_err());
        assert!(Trusted::read(b"-----BEGIN CERTIFICATE-----\nx\n").is_err());
    }

    #[test]
    fn a_pin_must_be_that_of_the_authority() {
        let pin: Pin = include_str!("testdata/ca.pin").trim().parse().unwrap();
        let other: Pin = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().unwrap();
        assert!(Trusted::read(CA).unwrap().having(pin).is_ok());
        assert!(Trusted::read(CA).unwrap().having(other).is_err());
    }
}
