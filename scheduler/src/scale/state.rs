//! What a run leaves for the next: a lock for each service, the times of its last steps, and what it was making.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs4::FileExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::plan::History;

const POLL: Duration = Duration::from_millis(20);

/// Why the state cannot be kept.
#[derive(Debug, Error)]
pub enum Error {
    /// A file of it cannot be used.
    #[error("cannot use the state folder: {path}: {source}; set CONCIERGE_STATE_DIR to a folder that this user can write", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A record is no record.
    #[error("{path} is damaged ({source}); delete it, and cool-downs begin anew", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Another run did not end in time.
    #[error("another run for this service did not end in time; nothing was done")]
    Busy,
}

/// Where the state of one service of one engine lies.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    name: String,
}

/// What is known of a service's earlier runs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The last steps.
    pub history: History,
    /// The names of containers that a run was making and did not confirm.
    pub unfinished: Vec<String>,
}

/// The right to change a service; it ends when this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl State {
    /// The state of `service` on the engine at `address`.
    pub fn of(folder: PathBuf, address: &str, service: &str) -> Self {
        let name = format!("{}@{}", encoded(service), encoded(address));
        Self { folder, name }
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits for the lock.
    pub async fn lock(&self, deadline: Instant) -> Result<Lock, Error> {
        make(&self.folder)?;
        let path = self.folder.join(format!("{}.lock", self.name));
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        let file = private()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io)?;
        loop {
            match FileExt::try_lock(&file) {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(fs4::TryLockError::Error(error)) => return Err(io(error)),
                Err(fs4::TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(Error::Busy);
                }
                Err(fs4::TryLockError::WouldBlock) => sleep(POLL).await,
            }
        }
    }

    /// What the earlier runs left of the service in `project`.
    pub fn read(&self, project: &str) -> Result<Record, Error> {
        let path = self.record(project);
        match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|source| Error::Damaged { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Leaves `record` for the next run, whole or not at all.
    pub fn write(&self, _lock: &Lock, project: &str, record: &Record) -> Result<(), Error> {
        let path = self.record(project);
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        let new = path.with_extension("new");
        let text = serde_json::to_vec(record).map_err(|error| io(error.into()))?;
        let mut file = private()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&new)
            .map_err(io)?;
        file.write_all(&text).map_err(io)?;
        std::fs::rename(&new, &path).map_err(io)
    }

    fn record(&self, project: &str) -> PathBuf {
        self.folder
            .join(format!("{}@{}.json", encoded(project), self.name))
    }
}

/// Appends a line to the audit.
pub fn audit(folder: &Path, line: &str) -> Result<(), Error> {
    make(folder)?;
    let path = folder.join("audit.jsonl");
    let file = private().create(true).append(true).open(&path);
    // One write, so that lines of simultaneous runs do not mix.
    file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .map_err(|source| Error::Io { path, source })
}

fn make(folder: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| Error::Io {
        path: folder.to_owned(),
        source,
    })
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// A file name that no other text has.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(100)
    }

    #[tokio::test]
    async fn one_run_at_a_time_and_the_next_reads_what_it_left() {
        let folder = tempfile::tempdir().unwrap();
        let state = |address: &str| State::of(folder.path().join("state"), address, "web");
        let here = state("tcp://a:1");
        let lock = here.lock(soon()).await.unwrap();
        assert!(matches!(here.lock(soon()).await.unwrap_err(), Error::Busy));
        state("tcp://a:2").lock(soon()).await.unwrap();
        let record = Record {
            history: History {
                up: Some(7),
                down: None,
            },
            unfinished: vec!["p_web_2".into()],
        };
        here.write(&lock, "p", &record).unwrap();
        drop(lock);
        here.lock(soon()).await.unwrap();
        let read = here.read("p").unwrap();
        assert_eq!(
            (read.history, read.unfinished),
            (record.history, record.unfinished)
        );
        assert_eq!(here.read("q").unwrap().history, History::default());
    }

    #[tokio::test]
    async fn everything_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path().join("state"), "a", "web");
        let lock = state.lock(soon()).await.unwrap();
        state.write(&lock, "p", &Record::default()).unwrap();
        audit(state.folder(), "{}").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(state.folder()), 0o700);
        let files: Vec<_> = std::fs::read_dir(state.folder())
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert_eq!(files.len(), 3);
        assert!(files.iter().all(|file| mode(file) == 0o600));
    }

    #[test]
    fn names_that_differ_have_files_that_differ() {
        assert_ne!(encoded("a/b"), encoded("a_b"));
        assert_ne!(encoded("../a"), "../a");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_named() {
        let state = State::of("/proc/concierge".into(), "a", "web");
        let error = state.lock(soon()).await.unwrap_err().to_string();
        assert!(
            error.contains("/proc/concierge") && error.contains("CONCIERGE_STATE_DIR"),
            "{error}"
        );
    }
}
