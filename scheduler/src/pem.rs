//! The credentials of a Docker engine: three PEM texts, mended and checked, that never leave the memory.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Key, CA and certificate as PEM texts, and where they come from.
#[derive(Clone)]
pub struct Pems {
    key: String,
    ca: String,
    certificate: String,
    source: String,
}

/// One of the three texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The private key.
    Key,
    /// The certificate authority's certificate.
    Ca,
    /// The client's certificate.
    Certificate,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key => "private key",
            Self::Ca => "CA certificate",
            Self::Certificate => "client certificate",
        })
    }
}

/// What is wrong with the credentials.
#[derive(Debug, Error)]
pub enum Error {
    /// A file is there, and cannot be read.
    #[error("cannot read {path}: {source}; let this user read it", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A text holds no PEM block of its kind.
    #[error("{origin}: the {part} is missing or no PEM text")]
    Missing {
        /// Where the texts come from.
        origin: String,
        /// Which one.
        part: Part,
    },
    /// The key needs a pass phrase.
    #[error(
        "{origin}: the private key is encrypted; nobody is there to type its pass phrase, so store it unencrypted"
    )]
    EncryptedKey {
        /// Where the texts come from.
        origin: String,
    },
    /// A certificate's time is over.
    #[error("{origin}: the {part} ({subject}) expired on {when}; renew it")]
    Expired {
        /// Where the texts come from.
        origin: String,
        /// Which one.
        part: Part,
        /// Whose certificate.
        subject: String,
        /// Its last moment.
        when: String,
    },
    /// A certificate's time has not begun.
    #[error(
        "{origin}: the {part} ({subject}) is valid from {when} on; check the clock of this machine"
    )]
    NotYetValid {
        /// Where the texts come from.
        origin: String,
        /// Which one.
        part: Part,
        /// Whose certificate.
        subject: String,
        /// Its first moment.
        when: String,
    },
    /// Key and certificate are not a pair.
    #[error(
        "{origin}: the private key does not belong to the client certificate; store the key and the certificate of one pair"
    )]
    Mismatch {
        /// Where the texts come from.
        origin: String,
    },
    /// The TLS library refuses one of them.
    #[error("{origin}: the {part} cannot be used: {reason}")]
    Unusable {
        /// Where the texts come from.
        origin: String,
        /// Which one.
        part: Part,
        /// The library's reason.
        reason: String,
    },
}

/// What may be told about the credentials: everything but the key.
#[derive(Debug, Serialize)]
pub struct Description {
    /// Where they come from.
    pub source: String,
    /// The client's certificate.
    pub certificate: Certificate,
    /// The authority.
    pub ca: Certificate,
    /// What keeps them from being used.
    pub problem: Option<String>,
}

/// What a certificate says of itself.
#[derive(Debug, Serialize)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its last moment.
    pub expires: String,
}

impl Pems {
    /// Mends the three texts, of which each must hold a PEM block of its kind.
    pub fn mend(key: &str, ca: &str, certificate: &str, source: &str) -> Result<Self, Error> {
        let missing = |part| Error::Missing {
            origin: source.to_owned(),
            part,
        };
        if key.contains("ENCRYPTED") {
            return Err(Error::EncryptedKey {
                origin: source.to_owned(),
            });
        }
        Ok(Self {
            key: mended(key, "PRIVATE KEY").ok_or_else(|| missing(Part::Key))?,
            ca: mended(ca, "CERTIFICATE").ok_or_else(|| missing(Part::Ca))?,
            certificate: mended(certificate, "CERTIFICATE")
                .ok_or_else(|| missing(Part::Certificate))?,
            source: source.to_owned(),
        })
    }

    /// The texts with the names that Docker's own tools give their files.
    pub fn files(&self) -> [(&'static str, &str); 3] {
        [
            ("key.pem", &self.key),
            ("ca.pem", &self.ca),
            ("cert.pem", &self.certificate),
        ]
    }

    /// A TLS configuration that trusts this CA alone and presents this certificate.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let authorities = self.certificates(Part::Ca)?;
        let chain = self.certificates(Part::Certificate)?;
        // The system's clock is after 1970 wherever certificates can be judged at all.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs() as i64);
        for authority in &authorities {
            self.check_time(Part::Ca, authority, now)?;
        }
        if let Some(first) = chain.first() {
            self.check_time(Part::Certificate, first, now)?;
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| self.unusable(Part::Key, error))?;
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots
                .add(authority)
                .map_err(|error| self.unusable(Part::Ca, error))?;
        }
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unusable(Part::Ca, error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => Error::Mismatch {
                    origin: self.source.clone(),
                },
                error => self.unusable(Part::Key, error),
            })
    }

    /// What may be told about the credentials.
    pub fn describe(&self) -> Result<Description, Error> {
        Ok(Description {
            source: self.source.clone(),
            certificate: self.described(Part::Certificate)?,
            ca: self.described(Part::Ca)?,
            problem: self.client_config().err().map(|error| error.to_string()),
        })
    }

    fn described(&self, part: Part) -> Result<Certificate, Error> {
        let certificates = self.certificates(part)?;
        let first = certificates.first().ok_or_else(|| Error::Missing {
            origin: self.source.clone(),
            part,
        })?;
        let parsed = self.parsed(part, first)?;
        Ok(Certificate {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            expires: parsed.validity().not_after.to_string(),
        })
    }

    fn certificates(&self, part: Part) -> Result<Vec<CertificateDer<'static>>, Error> {
        let text = match part {
            Part::Ca => &self.ca,
            _ => &self.certificate,
        };
        CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| self.unusable(part, error))
    }

    fn parsed<'a>(
        &self,
        part: Part,
        certificate: &'a CertificateDer<'_>,
    ) -> Result<X509Certificate<'a>, Error> {
        X509Certificate::from_der(certificate)
            .map(|(_, parsed)| parsed)
            .map_err(|error| self.unusable(part, error))
    }

    fn check_time(
        &self,
        part: Part,
        certificate: &CertificateDer<'_>,
        now: i64,
    ) -> Result<(), Error> {
        let parsed = self.parsed(part, certificate)?;
        let (origin, subject) = (self.source.clone(), parsed.subject().to_string());
        let validity = parsed.validity();
        if validity.not_after.timestamp() < now {
            let when = validity.not_after.to_string();
            return Err(Error::Expired {
                origin,
                part,
                subject,
                when,
            });
        }
        if validity.not_before.timestamp() > now {
            let when = validity.not_before.to_string();
            return Err(Error::NotYetValid {
                origin,
                part,
                subject,
                when,
            });
        }
        Ok(())
    }

    fn unusable(&self, part: Part, reason: impl std::fmt::Display) -> Error {
        Error::Unusable {
            origin: self.source.clone(),
            part,
            reason: reason.to_string(),
        }
    }
}

/// The text's PEM blocks whose label ends in `kind`, with the line breaks that single-line fields and web forms lose.
fn mended(text: &str, kind: &str) -> Option<String> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut blocks = String::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----")?;
        let (body, after) = after.split_once(&format!("-----END {label}-----"))?;
        rest = after;
        if !label.ends_with(kind) {
            continue;
        }
        let body: String = body.split_whitespace().collect();
        blocks.push_str(&format!("-----BEGIN {label}-----\n"));
        // A body that is no ASCII is no base64 either, and is refused as a whole.
        for line in body.as_bytes().chunks(64) {
            blocks.push_str(std::str::from_utf8(line).ok()?);
            blocks.push('\n');
        }
        blocks.push_str(&format!("-----END {label}-----\n"));
    }
    (!blocks.is_empty()).then_some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    struct Pair {
        key: String,
        certificate: String,
    }

    /// A CA, and a client of it whose certificate ends in `last_year`.
    fn made(last_year: i32) -> (String, Pair) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "scheduler");
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        (
            ca.pem(),
            Pair {
                key: key.serialize_pem(),
                certificate,
            },
        )
    }

    fn outcome(key: &str, ca: &str, certificate: &str) -> Result<ClientConfig, Error> {
        Pems::mend(key, ca, certificate, "inventory of web")?.client_config()
    }

    #[test]
    fn a_good_pair_is_used() {
        let (ca, pair) = made(4000);
        outcome(&pair.key, &ca, &pair.certificate).unwrap();
    }

    #[test]
    fn lost_line_breaks_are_mended() {
        let (ca, pair) = made(4000);
        for lost in [" ", "\\n", "", "\r\n", "\n  "] {
            let spoilt = |text: &str| text.replace('\n', lost);
            outcome(&spoilt(&pair.key), &spoilt(&ca), &spoilt(&pair.certificate)).unwrap();
        }
    }

    #[test]
    fn each_mistake_is_named() {
        let (ca, pair) = made(4000);
        let (_, other) = made(4000);
        let (old_ca, old) = made(2001);
        let said = |result: Result<ClientConfig, Error>| result.unwrap_err().to_string();
        let message = said(outcome(&other.key, &ca, &pair.certificate));
        assert!(message.contains("does not belong"), "{message}");
        let message = said(outcome(&old.key, &old_ca, &old.certificate));
        assert!(
            message.contains("expired on") && message.contains("CN=scheduler"),
            "{message}"
        );
        let message = said(outcome("", &ca, &pair.certificate));
        assert!(message.contains("private key is missing"), "{message}");
        let message = said(outcome(&pair.key, "nonsense", &pair.certificate));
        assert!(message.contains("CA certificate is missing"), "{message}");
        let encrypted = pair.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let message = said(outcome(&encrypted, &ca, &pair.certificate));
        assert!(message.contains("encrypted"), "{message}");
        let message = said(outcome(
            &pair.key,
            &ca,
            "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----",
        ));
        assert!(
            message.contains("client certificate cannot be used"),
            "{message}"
        );
    }

    #[test]
    fn the_description_never_holds_the_key() {
        let (ca, pair) = made(4000);
        let pems = Pems::mend(&pair.key, &ca, &pair.certificate, "inventory of web").unwrap();
        let shown = serde_json::to_string(&pems.describe().unwrap()).unwrap();
        assert!(shown.contains("CN=scheduler"), "{shown}");
        let body = pair.key.lines().nth(1).unwrap();
        assert!(!shown.contains(body));
    }
}
