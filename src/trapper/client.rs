//! One request to one server or proxy, and its answer.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use super::destination::Address;
use super::frame::{self, HEADER};
use super::reply::{self, Reply};
use crate::deadline::Deadline;
use crate::net::{self, Stream, Timed};

/// Why a server did not take a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A phase did not end in time, or the connection broke in it.
    #[error("{to}: {phase}: {error}")]
    Io {
        /// The server.
        to: String,
        /// What was going on.
        phase: &'static str,
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
        matches!(self, Error::Io { error, .. } if error.kind() == io::ErrorKind::TimedOut)
    }
}

/// Sends `frame` to the server at `to`, from the address `from` where one is given, and reads the answer.
///
/// # Errors
/// [`Error`].
pub fn exchange(
    to: &Address,
    from: Option<IpAddr>,
    frame: &[u8],
    deadline: Deadline,
) -> Result<Reply, Error> {
    let during = |phase| {
        move |error| Error::Io {
            to: to.to_string(),
            phase,
            error,
        }
    };
    let addresses = net::resolve(&to.host, to.port, deadline).map_err(during("name resolution"))?;
    let stream = net::connect(&addresses, from, deadline).map_err(during("connecting"))?;
    let mut connection = Timed {
        stream: Stream::Tcp(stream),
        deadline,
    };
    let sent = connection.write_all(frame);
    // A server that refuses by closing may have answered before it did.
    let message = match (read(&mut connection, to), sent) {
        (Ok(message), _) => message,
        (Err(_), Err(error)) => return Err(during("sending")(error)),
        (Err(error), Ok(())) => return Err(error),
    };
    reply::read(&message).map_err(|error| Error::Reply {
        to: to.to_string(),
        error,
    })
}

fn read(connection: &mut Timed, to: &Address) -> Result<Vec<u8>, Error> {
    let failed = |error: io::Error| Error::Io {
        to: to.to_string(),
        phase: "waiting for the answer",
        error: match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(
                error.kind(),
                "the server closed the connection without an answer (does it expect another TLSConnect?)",
            ),
            _ => error,
        },
    };
    let mut header = [0; HEADER];
    connection.read_exact(&mut header).map_err(failed)?;
    let length = frame::message_length(header).map_err(|error| Error::Frame {
        to: to.to_string(),
        error,
    })?;
    let mut message = vec![0; length];
    connection.read_exact(&mut message).map_err(failed)?;
    Ok(message)
}
