//! A body in a regular file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Access, Body, Error};

/// Reads the file at `path`.
///
/// # Errors
/// [`Error`].
pub fn read(path: &Path, access: &Access<'_>) -> Result<Body, Error> {
    let failed = |error: io::Error| Error::Failed {
        url: path.display().to_string(),
        why: error.to_string(),
    };
    let (file, found) = open(path).map_err(failed)?;
    // What was opened is asked, not the path, which may mean something else by now.
    let not_allowed =
        |allow: &[super::allow::Allow]| !allow.iter().any(|one| one.permits_file(&found));
    if access.allow.is_some_and(not_allowed) {
        return Err(Error::NotAllowed(path.display().to_string()));
    }
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile(path.to_owned()));
    }
    let max_bytes = access.source.max_bytes;
    let bytes = super::read_all(file, metadata.len(), max_bytes).map_err(failed)?;
    let bytes = bytes.ok_or_else(|| Error::TooLarge {
        url: path.display().to_string(),
        max_bytes,
    })?;
    Ok(Body {
        bytes,
        content_type: None,
    })
}

/// Opens without waiting for a FIFO's other end, and tells what the path led to.
fn open(path: &Path) -> io::Result<(File, PathBuf)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)?;
    let found = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok((file, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::courier::Source;

    fn read_as(path: &Path, allow: Option<&str>, max_bytes: u64) -> Result<String, String> {
        let source = Source {
            max_bytes,
            ..Source::of_url("")
        };
        let allow = allow.map(|allow| vec![allow.parse().unwrap()]);
        let access = Access {
            source: &source,
            allow: allow.as_deref(),
        };
        read(path, &access)
            .map(|body| String::from_utf8(body.bytes).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_regular_files_are_read_and_only_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.json");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_as(&path, None, 5).unwrap(), "12345");
        assert!(read_as(&path, None, 4).unwrap_err().contains("max_bytes"));
        assert!(
            read_as(folder.path(), None, 5)
                .unwrap_err()
                .contains("no regular file")
        );
        let missing = read_as(&folder.path().join("x"), None, 5).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
    }

    #[test]
    fn a_fifo_that_nobody_writes_to_does_not_hold_the_reader_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert!(
            read_as(&path, None, 5)
                .unwrap_err()
                .contains("no regular file")
        );
    }

    #[test]
    fn a_file_outside_of_what_is_allowed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.json");
        fs::write(&path, "1").unwrap();
        let allow = format!("file://{}/", folder.path().display());
        assert_eq!(read_as(&path, Some(&allow), 5).unwrap(), "1");
        assert!(
            read_as(&path, Some("file:///nowhere/"), 5)
                .unwrap_err()
                .contains("not allowed")
        );
    }
}
