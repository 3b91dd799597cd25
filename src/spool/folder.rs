//! The spool's folder: a file a snapshot, `CLOCK-NS-PROCESS-DESTINATION.waiting` (or `.sent`), which appears whole or
//! not at all, and `DESTINATION.lock`.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Crc;
use fs4::{FileExt, TryLockError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::abi;
use crate::deadline::Deadline;
use crate::trapper::destination::Destination;
use crate::trapper::frame;
use crate::trapper::request::Stamp;

/// A file's first line is this, the checksum and the length of the frame that follows.
const MAGIC: &str = "courier-spool-1";
/// What a destination keeps as it is in a file's name; `-` parts the name.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_');
/// The longest destination in a name; the whole may have 255 bytes.
const MAX_QUEUE: usize = 180;
/// How often a lock that another process holds is tried.
const POLL: Duration = Duration::from_millis(5);

/// The folder at a path.
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a>(pub &'a Path);

/// A snapshot in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its clock.
    pub stamp: Stamp,
    /// Who took it: another agent on the same folder has other processes.
    process: u32,
    /// Whom it is for.
    pub queue: String,
    /// Whether it was sent.
    pub state: State,
}

/// What is known of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was never sent whole.
    Waiting,
    /// It may be under way, or have arrived.
    Sent,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's own reason.
    #[error("{path}: {error}")]
    Io {
        /// The folder, or a file in it.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others could have values of their own delivered in the agent's name.
    #[error(
        "{0} must belong to the user that the agent runs as, and nobody else may write to it: chown it, and chmod 700 it"
    )]
    Open(PathBuf),
}

impl Folder<'_> {
    /// Makes the folder where it is missing.
    pub fn make(&self) -> Result<(), Error> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(self.0);
        made.map_err(io_at(self.0))?;
        self.check()
    }

    /// Nobody else may put frames into the folder.
    pub fn check(&self) -> Result<(), Error> {
        let metadata = fs::metadata(self.0).map_err(io_at(self.0))?;
        if metadata.uid() != abi::user() || metadata.mode() & 0o022 != 0 {
            return Err(Error::Open(self.0.to_owned()));
        }
        Ok(())
    }

    /// All snapshots, the oldest first; none where there is no folder.
    pub fn entries(&self) -> Result<Vec<Entry>, Error> {
        let files = match fs::read_dir(self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(io_at(self.0))?,
        };
        let mut entries = Vec::new();
        for file in files {
            let name = file.map_err(io_at(self.0))?.file_name();
            entries.extend(name.to_str().and_then(Entry::parse));
        }
        entries.sort_by_key(|entry| (entry.stamp, entry.process));
        Ok(entries)
    }

    /// The snapshots for one destination, the oldest first.
    pub fn queue(&self, queue: &str) -> Result<Vec<Entry>, Error> {
        let mut entries = self.entries()?;
        entries.retain(|entry| entry.queue == queue);
        Ok(entries)
    }

    /// The right to send what waits in a queue, until it is dropped; `None` if another process has it all the time.
    pub fn lock(&self, queue: &str, deadline: Deadline) -> Result<Option<File>, Error> {
        let path = self.0.join(format!("{queue}.lock"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        let file = options.open(&path).map_err(io_at(&path))?;
        loop {
            match FileExt::try_lock(&file) {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(io_at(&path)(error)),
                Err(TryLockError::WouldBlock) => match deadline.remaining() {
                    Ok(left) => thread::sleep(left.min(POLL)),
                    Err(_) => return Ok(None),
                },
            }
        }
    }

    /// Writes a snapshot: whoever dies on the way leaves nothing that could be taken for one.
    pub fn write(&self, entry: &Entry, frame: &[u8]) -> Result<(), Error> {
        let part = self.0.join(format!(".{}", entry.name()));
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&part)?;
            file.write_all(head(frame).as_bytes())?;
            file.write_all(frame)?;
            // Nothing waits for the disk, which may take seconds that the errand does not have: what a power failure
            // leaves half written its checksum tells.
            fs::rename(&part, self.path(entry))
        };
        write().map_err(|error| {
            // It was never made, or what cannot be written to cannot be tidied either.
            let _ = fs::remove_file(&part);
            io_at(self.0)(error)
        })
    }

    /// The frame of a snapshot; `None` where the file is not what was written.
    pub fn read(&self, entry: &Entry) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(entry);
        let longest = frame::MAX_REQUEST + frame::HEADER + MAGIC.len() + 32;
        let mut bytes = Vec::new();
        let read =
            File::open(&path).and_then(|file| file.take(longest as u64).read_to_end(&mut bytes));
        read.map_err(io_at(&path))?;
        let Some(newline) = bytes.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let frame = bytes.split_off(newline + 1);
        Ok((bytes == head(&frame).as_bytes()).then_some(frame))
    }

    /// Whether it was still there.
    pub fn rename(&self, from: &Entry, to: &Entry) -> Result<bool, Error> {
        let path = self.path(from);
        there(&path, fs::rename(&path, self.path(to))).map(|there| there.is_some())
    }

    /// Whether it was still there.
    pub fn remove(&self, entry: &Entry) -> Result<bool, Error> {
        let path = self.path(entry);
        there(&path, fs::remove_file(&path)).map(|there| there.is_some())
    }

    /// The bytes of a snapshot's file, if it is still there.
    pub fn length(&self, entry: &Entry) -> Result<Option<u64>, Error> {
        let path = self.path(entry);
        let metadata = there(&path, fs::metadata(&path))?;
        Ok(metadata.map(|metadata| metadata.len()))
    }

    /// Removes what processes that died were writing longer than `age` ago.
    pub fn remove_unfinished(&self, age: Duration) -> Result<Vec<Entry>, Error> {
        let mut removed = Vec::new();
        for file in fs::read_dir(self.0).map_err(io_at(self.0))? {
            let file = file.map_err(io_at(self.0))?;
            let name = file.file_name();
            let part = name.to_str().and_then(|name| name.strip_prefix('.'));
            let Some(entry) = part.and_then(Entry::parse) else {
                continue;
            };
            let written = file.metadata().and_then(|metadata| metadata.modified());
            let since = written.map(|at| at.elapsed().unwrap_or_default());
            // Another process may be as tidy.
            if since.is_ok_and(|since| since > age) && fs::remove_file(file.path()).is_ok() {
                removed.push(entry);
            }
        }
        Ok(removed)
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.0.join(entry.name())
    }
}

impl Entry {
    /// A new snapshot for a destination.
    pub fn new(stamp: Stamp, to: &Destination) -> Self {
        let name = utf8_percent_encode(&to.to_string(), PLAIN).to_string();
        let queue = match name.get(..MAX_QUEUE) {
            Some(start) if name.len() > MAX_QUEUE => {
                format!("{start}_{:08x}", checksum(name.as_bytes()))
            }
            _ => name,
        };
        Entry {
            stamp,
            process: std::process::id(),
            queue,
            state: State::Waiting,
        }
    }

    /// The same snapshot in another state.
    pub fn with(&self, state: State) -> Self {
        Entry {
            state,
            ..self.clone()
        }
    }

    /// Its age by its own clock; one that is ahead has none.
    pub fn age(&self) -> Duration {
        let taken = Duration::new(self.stamp.clock, self.stamp.ns);
        let taken = UNIX_EPOCH.checked_add(taken);
        let age = taken.and_then(|taken| SystemTime::now().duration_since(taken).ok());
        age.unwrap_or_default()
    }

    fn parse(name: &str) -> Option<Self> {
        let (stem, state) = name.rsplit_once('.')?;
        let mut parts = stem.splitn(4, '-');
        Some(Entry {
            stamp: Stamp {
                clock: parts.next()?.parse().ok()?,
                ns: parts
                    .next()?
                    .parse()
                    .ok()
                    .filter(|ns| *ns < 1_000_000_000)?,
            },
            process: parts.next()?.parse().ok()?,
            queue: parts.next()?.to_owned(),
            state: match state {
                "waiting" => State::Waiting,
                "sent" => State::Sent,
                _ => return None,
            },
        })
    }

    fn name(&self) -> String {
        let Stamp { clock, ns } = self.stamp;
        let state = match self.state {
            State::Waiting => "waiting",
            State::Sent => "sent",
        };
        format!("{clock}-{ns:09}-{}-{}.{state}", self.process, self.queue)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stamp { clock, ns } = self.stamp;
        let to = percent_decode_str(&self.queue).decode_utf8_lossy();
        write!(f, "of {clock}.{ns:09} for {to}")
    }
}

/// The bytes that a frame's file will have.
pub fn length(frame: &[u8]) -> u64 {
    (head(frame).len() + frame.len()) as u64
}

fn head(frame: &[u8]) -> String {
    format!("{MAGIC} {:08x} {}\n", checksum(frame), frame.len())
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// What another process may have removed.
fn there<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_at(path)(error)),
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Io { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trapper::destination;
    use proptest::prelude::*;

    #[test]
    fn what_a_process_that_died_was_writing_is_removed_later_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry::new(Stamp { clock: 5, ns: 7 }, &destination::parse("a").unwrap());
        let part = folder.path().join(format!(".{}", entry.name()));
        fs::write(&part, "half").unwrap();
        let folder = Folder(folder.path());
        assert_eq!(folder.entries().unwrap(), []);
        let removed = |age| folder.remove_unfinished(Duration::from_secs(age)).unwrap();
        assert_eq!(removed(60), []);
        assert_eq!(removed(0), [entry]);
        assert!(!part.exists());
    }

    proptest! {
        #[test]
        fn a_name_tells_all_of_a_snapshot(
            clock: u64, ns in 0..1_000_000_000_u32, hosts in proptest::collection::vec("[a-z0-9.-]{1,60}", 1..9), sent: bool
        ) {
            let to = destination::parse(&hosts.join(";")).unwrap();
            let entry = Entry::new(Stamp { clock, ns }, &to);
            let entry = entry.with(if sent { State::Sent } else { State::Waiting });
            prop_assert!(entry.name().len() < 255);
            prop_assert!(!entry.name().contains('/'));
            prop_assert_eq!(Entry::parse(&entry.name()), Some(entry));
        }
    }
}
