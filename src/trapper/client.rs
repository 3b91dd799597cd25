//! One request to one server or proxy, and its answer.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use super::destination::Address;
use super::frame::{self, HEADER};
use super::reply::{self, Reply};
use super::tls;
use crate::deadline::Deadline;
use crate::net::{self, Connection, Stream, Timed};

/// Why a server did not take a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request did not get there: a phase did not end in time, or the connection broke in it.
    #[error("{to}: {phase}: {error}")]
    Io {
        /// The server.
        to: String,
        /// What was going on.
        phase: &'static str,
        /// What happened.
        error: io::Error,
    },
    /// There is no TLS with it.
    #[error("{to}: {error}")]
    Tls {
        /// The server.
        to: String,
        /// Why not.
        error: tls::Error,
    },
    /// The whole request went out, and nothing came back.
    #[error("{to}: whether it took the values is not known: waiting for the answer: {error}")]
    Unanswered {
        /// The server.
        to: String,
        /// What happened.
        error: io::Error,
    },
    /// Its answer is no trapper's.
    #[error("{to}: {error}")]
    Frame {
        /// The server.
        to: String,
        /// What is wrong.
        error: frame::Error,
    },
    /// Its answer is no success.
    #[error("{to}: {error}")]
    Reply {
        /// The server.
        to: String,
        /// What it says.
        error: reply::Error,
    },
}

impl Error {
    /// Whether the deadline passed.
    pub fn timed_out(&self) -> bool {
        match self {
            Error::Io { error, .. } | Error::Unanswered { error, .. } => {
                error.kind() == io::ErrorKind::TimedOut
            }
            Error::Tls {
                error: tls::Error::Handshake { error, .. },
                ..
            } => error.timed_out(),
            _ => false,
        }
    }

    /// Whether the server may have taken the values for all that: the request went out, and there is no answer that
    /// says no.
    pub fn is_unknown(&self) -> bool {
        match self {
            Error::Io { .. } | Error::Tls { .. } => false,
            Error::Unanswered { .. } | Error::Frame { .. } => true,
            Error::Reply { error, .. } => *error == reply::Error::Unknown,
        }
    }
}

/// How servers are reached.
#[derive(Clone, Copy)]
pub struct Route<'a> {
    /// The address that connections come from.
    pub from: Option<IpAddr>,
    /// What they are encrypted with, if they are.
    pub tls: Option<&'a tls::Client>,
}

/// Sends `frame` to the server at `to` by `sent_by`, and reads the answer by `deadline`.
///
/// # Errors
/// [`Error`].
pub fn exchange(
    to: &Address,
    route: Route<'_>,
    frame: &[u8],
    sent_by: Deadline,
    deadline: Deadline,
) -> Result<Reply, Error> {
    let mut connection = connect(to, route, sent_by)?;
    let sent = connection.write_all(frame);
    connection.set_deadline(deadline);
    // A server that refuses by closing may have answered before it did.
    let message =
        read(&mut connection, to).map_err(|error| match (refused(error, route), sent) {
            (refusal @ Error::Tls { .. }, _) => refusal,
            (error, Ok(())) => error,
            // Less than the request is no request.
            (_, Err(error)) => Error::Io {
                to: to.to_string(),
                phase: "sending",
                error,
            },
        })?;
    if let Connection::Tls(tls) = &mut connection {
        // Polite, and no more than that: the answer is here.
        let _ = tls.shutdown();
    }
    reply::read(&message).map_err(|error| Error::Reply {
        to: to.to_string(),
        error,
    })
}

fn connect(to: &Address, route: Route<'_>, deadline: Deadline) -> Result<Connection, Error> {
    let during = |phase| {
        move |error| Error::Io {
            to: to.to_string(),
            phase,
            error,
        }
    };
    let addresses = net::resolve(&to.host, to.port, deadline).map_err(during("name resolution"))?;
    let stream = net::connect(&addresses, route.from, deadline).map_err(during("connecting"))?;
    let timed = Timed {
        stream: Stream::Tcp(stream),
        deadline,
    };
    match route.tls {
        None => Ok(Connection::Plain(timed)),
        Some(tls) => tls
            .connect(timed)
            .map(Connection::Tls)
            .map_err(|error| Error::Tls {
                to: to.to_string(),
                error,
            }),
    }
}

fn read(connection: &mut Connection, to: &Address) -> Result<Vec<u8>, Error> {
    let failed = |error: io::Error| Error::Unanswered {
        to: to.to_string(),
        error: match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(
                error.kind(),
                "the server closed the connection without an answer",
            ),
            _ => error,
        },
    };
    let not_zabbix = |error| Error::Frame {
        to: to.to_string(),
        error,
    };
    let mut header = [0; HEADER];
    connection.read_exact(&mut header).map_err(failed)?;
    let header = frame::read(header).map_err(not_zabbix)?;
    let mut message = vec![0; header.length];
    connection.read_exact(&mut message).map_err(failed)?;
    header.decompress(message).map_err(not_zabbix)
}

/// In TLS 1.3 a server refuses the client's certificate after the handshake is over for the client: then too it has
/// read nothing of the request. One that just closes (Zabbix with GnuTLS does) leaves that open.
fn refused(error: Error, route: Route<'_>) -> Error {
    let (to, error, tls) = match (error, route.tls) {
        (Error::Unanswered { to, error }, Some(tls)) => (to, error, tls),
        (error, _) => return error,
    };
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let text = format!("{error}{}", tls.remedy(&crate::tls::Error::Closed));
        return Error::Unanswered {
            to,
            error: io::Error::new(error.kind(), text),
        };
    }
    match error.downcast() {
        Ok(refusal @ crate::tls::Error::Refused(_)) => Error::Tls {
            to,
            error: tls.explained(refusal),
        },
        Ok(error) => Error::Unanswered {
            to,
            error: io::Error::other(error),
        },
        Err(error) => Error::Unanswered { to, error },
    }
}
