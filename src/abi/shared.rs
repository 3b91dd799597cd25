//! Memory that several processes see.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::AtomicU64;

/// Memory, all zeros, that this process shares with the children it forks from now on.
///
/// # Errors
/// The system's own.
pub fn anonymous(words: usize) -> io::Result<&'static [AtomicU64]> {
    map(words, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
}

/// Memory that lies in the file at `path`, which this user alone may read and write; a new file is all zeros.
///
/// # Errors
/// The system's own; [`io::ErrorKind::PermissionDenied`] where the file is another's or no regular file.
pub fn file(path: &Path, words: usize) -> io::Result<&'static [AtomicU64]> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)?;
    if !is_private(&file)? {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not this user's own regular file",
        ));
    }
    let bytes = (words * size_of::<AtomicU64>()) as u64;
    if file.metadata()?.len() < bytes {
        file.set_len(bytes)?;
    }
    map(words, libc::MAP_SHARED, file.as_raw_fd())
}

/// The user that the process runs as.
pub fn user() -> u32 {
    // SAFETY: it only asks.
    unsafe { libc::geteuid() }
}

fn is_private(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.uid() == user() && metadata.mode() & 0o077 == 0)
}

fn map(words: usize, flags: libc::c_int, fd: libc::c_int) -> io::Result<&'static [AtomicU64]> {
    let bytes = words * size_of::<AtomicU64>();
    // SAFETY: a new mapping of its own size, page aligned, never unmapped. Only atomics are made of it, which may be
    // changed by others at any time; any bits are a value of theirs. A file is at least as long as the mapping.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let memory = libc::mmap(std::ptr::null_mut(), bytes, protection, flags, fd, 0);
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts(memory.cast(), words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn two_mappings_of_a_file_are_the_same_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let (one, other) = (file(&path, 600).unwrap(), file(&path, 600).unwrap());
        one[599].store(7, Relaxed);
        assert_eq!(other[599].load(Relaxed), 7);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_may_write_or_a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        std::fs::write(&open, "").unwrap();
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&open, all).unwrap();
        assert_eq!(
            file(&open, 1).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&open, &link).unwrap();
        assert!(file(&link, 1).is_err());
    }

    #[test]
    fn anonymous_memory_begins_as_zeros() {
        let memory = anonymous(10).unwrap();
        assert!(memory.iter().all(|word| word.load(Relaxed) == 0));
    }
}
