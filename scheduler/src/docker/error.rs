//! What an engine's failures mean to the one who reads them.

use std::error::Error as StdError;
use std::io;

use bollard::errors::Error as Bollard;
use rustls::{AlertDescription, CertificateError, Error as Tls};
use thiserror::Error;

use super::Address;
use crate::pem;

/// Why an engine did not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The setting is no address.
    #[error(
        "\"{0}\" is no address of a Docker engine; write it as unix:///var/run/docker.sock or tcp://HOST:2376"
    )]
    Address(String),
    /// The credentials cannot be used.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// A request did not go through, or was refused.
    #[error("{what} ({address}): {reason}")]
    Request {
        /// What was to be done.
        what: String,
        /// Where.
        address: Address,
        /// Why it was not.
        reason: String,
    },
}

impl Error {
    /// Says what `source` means.
    pub(super) fn explain(address: &Address, what: impl Into<String>, source: Bollard) -> Self {
        Self::Request {
            what: what.into(),
            address: address.clone(),
            reason: reason(address, &source),
        }
    }
}

/// Whether the engine says that the thing does not exist.
pub fn is_gone(error: &Bollard) -> bool {
    status(error) == Some(404)
}

fn status(error: &Bollard) -> Option<u16> {
    match error {
        Bollard::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn reason(address: &Address, error: &Bollard) -> String {
    if let Bollard::DockerResponseServerError { message, .. } = error {
        return match message.trim() {
            plain if plain.contains("HTTP request to an HTTPS server") => {
                "it wants TLS, and there are no credentials: store them by pem put, or set DOCKER_CERT_PATH".to_owned()
            }
            message => message.to_owned(),
        };
    }
    if matches!(error, Bollard::RequestTimeoutError) {
        return "it did not answer in time".to_owned();
    }
    let causes: Vec<&(dyn StdError + 'static)> =
        std::iter::successors(Some(error as &(dyn StdError + 'static)), |cause| {
            deeper(*cause)
        })
        .collect();
    if let Some(tls) = causes.iter().find_map(|cause| cause.downcast_ref::<Tls>()) {
        return tls_reason(tls);
    }
    if let Some(io) = causes
        .iter()
        .find_map(|cause| cause.downcast_ref::<io::Error>())
    {
        return match io.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
            io::ErrorKind::PermissionDenied => format!("this user may not open {address}"),
            io::ErrorKind::NotFound => "there is no such socket".to_owned(),
            io::ErrorKind::InvalidData => {
                "it does not speak the Docker API there; is TLS on at one end only?".to_owned()
            }
            _ => io.to_string(),
        };
    }
    // The innermost text: the outer ones only say that something was wrong.
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// An error's cause; an I/O error hides its own inside.
fn deeper<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    wrapped
        .map(|inner| inner as &(dyn StdError + 'static))
        .or_else(|| error.source())
}

fn tls_reason(error: &Tls) -> String {
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is not signed by the CA in the credentials (wrong CA, or wrong engine)".to_owned()
        }
        Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another host name; add the name to the certificate, or use the one that it has".to_owned(),
        Tls::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied),
        ) => format!("it refuses the client certificate of the credentials ({alert:?})"),
        Tls::InvalidMessage(_) => "it does not speak TLS there".to_owned(),
        other => format!("TLS: {other}"),
    }
}
