//! Who an https source must be: a server with a certificate for its host's name, which a trusted authority signed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use crate::net::Timed;
use crate::tls;

/// The authorities that are trusted.
#[derive(Debug)]
pub enum Trust {
    /// Those of the system, read once: they are many.
    System(OnceLock<SslConnector>),
    /// Those of one file, read for each connection, so that a renewed one counts.
    File(PathBuf),
}

/// Why a server is not believed, or cannot be asked.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("ca_file {}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("{error}{remedy}")]
    Handshake {
        error: tls::Error,
        remedy: &'static str,
    },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] ErrorStack),
}

/// Larger than any file of authorities.
const MAX_FILE: u64 = 4 << 20;

impl Trust {
    /// Trust in the authorities of `ca_file`, else in the system's.
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        match ca_file {
            Some(path) => Trust::File(path),
            None => Trust::System(OnceLock::new()),
        }
    }

    /// Puts TLS on a connection to `host`, a name or an IP address.
    ///
    /// # Errors
    /// What the system said; else a text that says what is wrong, and what to do.
    pub fn connect(&self, host: &str, stream: Timed) -> io::Result<SslStream<Timed>> {
        let connect = || {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let ssl = self.connector()?.configure()?.into_ssl(host)?;
            tls::connect(ssl, stream).map_err(|error| Error::Handshake {
                remedy: remedy(&error),
                error,
            })
        };
        connect().map_err(|error: Error| match error {
            Error::Handshake {
                error: tls::Error::Io(error),
                ..
            } => error,
            error => io::Error::other(error),
        })
    }

    fn connector(&self) -> Result<SslConnector, Error> {
        match self {
            Trust::File(path) => connector(&authorities(path)?),
            Trust::System(kept) => {
                if let Some(connector) = kept.get() {
                    return Ok(connector.clone());
                }
                // The folder would need links by hash, which not every system has; the file is everywhere.
                let made = match openssl_probe::probe().cert_file {
                    Some(path) => connector(&authorities(&path)?)?,
                    None => connector(&[])?,
                };
                Ok(kept.get_or_init(|| made).clone())
            }
        }
    }
}

fn connector(authorities: &[X509]) -> Result<SslConnector, Error> {
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        store.add_cert(authority.clone())?;
    }
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    connector.set_cert_store(store.build());
    Ok(connector.build())
}

fn authorities(path: &Path) -> Result<Vec<X509>, Error> {
    let wrong = |why: String| Error::File {
        path: path.to_owned(),
        why,
    };
    let length = fs::metadata(path)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if length > MAX_FILE {
        return Err(wrong("it is too large".to_owned()));
    }
    let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    match X509::stack_from_pem(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong("it holds no certificate in PEM form".to_owned())),
    }
}

fn remedy(error: &tls::Error) -> &'static str {
    let tls::Error::Certificate(result) = error else {
        return "";
    };
    match result.as_raw() {
        // X509_V_ERR_CERT_NOT_YET_VALID, CERT_HAS_EXPIRED
        9 | 10 => "; renew it, or set this machine's clock",
        // X509_V_ERR_HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH
        62 | 64 => "; the url must name the host as the certificate does",
        _ => "; ca_file of the source in courier.toml must hold the authority that signed it",
    }
}
