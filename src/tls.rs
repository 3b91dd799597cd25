//! TLS on a connection: the handshake, by the deadline, and what goes wrong in words.
//!
//! OpenSSL is the one TLS library of the module; it is initialized in the process that first needs it, never before
//! the agent forks, and registers nothing that would run at the agent's exit.

use std::io;

use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode, HandshakeError, Ssl, SslStream};
use openssl::x509::X509VerifyResult;

use crate::net::Timed;

/// Why there is no TLS on a connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection broke, or the deadline passed.
    #[error("the TLS handshake: {0}")]
    Io(io::Error),
    /// The peer hung up.
    #[error("the connection was closed in the TLS handshake")]
    Closed,
    /// Whatever answers there, it is no TLS.
    #[error("what answers there does not speak TLS")]
    NotTls,
    /// The peer ended it by an alert.
    #[error("the other side refuses TLS: {0}")]
    Refused(String),
    /// The peer's certificate.
    #[error("the certificate is not accepted: {0}")]
    Certificate(X509VerifyResult),
    /// Anything else, in OpenSSL's words.
    #[error("TLS: {0}")]
    Other(String),
}

/// Puts `ssl`, which says who is expected at the other side, on `stream`.
///
/// # Errors
/// [`Error`].
pub fn connect(ssl: Ssl, stream: Timed) -> Result<SslStream<Timed>, Error> {
    ssl.connect(stream).map_err(|error| match error {
        HandshakeError::SetupFailure(stack) => Error::from(stack),
        HandshakeError::Failure(broken) | HandshakeError::WouldBlock(broken) => {
            let verified = broken.ssl().verify_result();
            if verified != X509VerifyResult::OK {
                return Error::Certificate(verified);
            }
            Error::from(broken.into_error())
        }
    })
}

impl Error {
    /// Whether the deadline passed.
    pub fn timed_out(&self) -> bool {
        matches!(self, Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
    }
}

impl From<ssl::Error> for Error {
    fn from(error: ssl::Error) -> Self {
        let code = error.code();
        match error.into_io_error() {
            Ok(error) if error.kind() == io::ErrorKind::ConnectionReset => Error::Closed,
            Ok(error) => Error::Io(error),
            Err(_) if code == ErrorCode::SYSCALL => Error::Closed,
            Err(error) => match error.ssl_error() {
                Some(stack) => Error::from(stack.clone()),
                None => Error::Other(error.to_string()),
            },
        }
    }
}

/// OpenSSL's numbers of what is told apart (ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER, SSL_R_UNEXPECTED_EOF_WHILE_READING;
/// an alert is its number in TLS and SSL_AD_REASON_OFFSET).
const LIBRARY_SSL: i32 = 20;
const WRONG_VERSION: i32 = 267;
const UNEXPECTED_EOF: i32 = 294;
const ALERTS: std::ops::Range<i32> = 1000..1256;

impl From<ErrorStack> for Error {
    fn from(stack: ErrorStack) -> Self {
        let reason =
            |error: &openssl::error::Error| error.reason().unwrap_or("no reason").to_owned();
        for error in stack.errors() {
            if error.library_code() != LIBRARY_SSL {
                continue;
            }
            match error.reason_code() {
                WRONG_VERSION => return Error::NotTls,
                UNEXPECTED_EOF => return Error::Closed,
                // "tlsv1 alert unknown ca": the version in it is where the alert was first defined.
                alert if ALERTS.contains(&alert) => {
                    let reason = reason(error);
                    let words = reason.split_once(' ').map_or(&*reason, |(_, words)| words);
                    return Error::Refused(words.trim_start_matches("alert ").to_owned());
                }
                _ => {}
            }
        }
        Error::Other(
            stack
                .errors()
                .last()
                .map_or_else(|| "an unknown error".to_owned(), reason),
        )
    }
}
