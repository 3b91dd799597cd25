//! Where a body comes from: an application's HTTP endpoint, or a regular file.

pub mod allow;
mod client;
mod file;
mod http;
mod location;
mod trust;

use std::io::{self, Read};
use std::path::PathBuf;

pub use location::Location;

use crate::deadline::Deadline;
use crate::settings::courier::{MAX_BYTES, Source};

/// A body and what its server says it is.
#[derive(Debug)]
pub struct Body {
    /// The bytes, decompressed.
    pub bytes: Vec<u8>,
    /// The header Content-Type.
    pub content_type: Option<String>,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No URL and no path.
    #[error(
        "{0:?} is no source: it is neither a name in courier.toml nor http://..., https://..., file:///path, unix:///path/to.sock:/path or an absolute path"
    )]
    Unknown(String),
    /// A URL that must not be asked.
    #[error("{url} cannot be a source: {why}")]
    Unusable {
        /// The URL without credentials.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing in the settings permits it.
    #[error(
        "{0} is not allowed: name it under `allow` or as a source in courier.toml, on the agent's machine"
    )]
    NotAllowed(String),
    /// A folder, a FIFO, a device or a socket.
    #[error("{} is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// Nothing came in time.
    #[error("{url} did not answer in time ({phase})")]
    Timeout {
        /// What was asked.
        url: String,
        /// What it was waited for.
        phase: String,
    },
    /// It could not be read.
    #[error("cannot read {url}: {why}")]
    Failed {
        /// What was asked.
        url: String,
        /// Why.
        why: String,
    },
    /// The body is longer than the settings permit.
    #[error(
        "{url} has more than {max_bytes} bytes; `max_bytes` of a source in courier.toml raises the limit"
    )]
    TooLarge {
        /// What was asked.
        url: String,
        /// The limit.
        max_bytes: u64,
    },
}

impl Error {
    /// Whether the deadline passed.
    pub fn timed_out(&self) -> bool {
        matches!(self, Error::Timeout { .. })
    }

    /// Whether the settings or the item's key must change before it can work.
    pub fn is_misuse(&self) -> bool {
        matches!(
            self,
            Error::Unknown(_) | Error::Unusable { .. } | Error::NotAllowed(_) | Error::NotAFile(_)
        )
    }
}

/// Reads everything, unless it is longer than the settings permit: then `None`. `expected` is what the other side says of
/// its length, which is believed only so far as memory is cheap.
fn read_all(from: impl Read, expected: u64, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(expected.min(max_bytes).min(MAX_BYTES) as usize);
    from.take(max_bytes + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max_bytes).then_some(bytes))
}

/// What may be fetched, and how.
#[derive(Debug)]
pub struct Access<'a> {
    /// The settings of the source.
    pub source: &'a Source,
    /// What the settings allow; `None` for a source that the settings name.
    pub allow: Option<&'a [allow::Allow]>,
}

/// Fetches the body at `location`.
///
/// # Errors
/// [`Error`].
pub fn fetch(location: &Location, access: &Access<'_>, deadline: Deadline) -> Result<Body, Error> {
    match location {
        Location::File(path) => file::read(path, access),
        Location::Http { .. } => http::get(location, access, deadline),
    }
}
