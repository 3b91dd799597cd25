//! Settings: the agent's own configuration file and the module's `courier.toml`.

pub mod agent;
pub mod courier;
pub mod tls;

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// More than any configuration has, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Reads a configuration, which is a regular file of at most 1 MiB: neither a FIFO nor a device holds the reader up.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let refused = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    if !file.metadata()?.is_file() {
        return refused("it is no regular file");
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return refused("it has more than 1 MiB, which no configuration has");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sensible_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.conf");
        std::fs::write(&path, "a=b").unwrap();
        assert_eq!(read(&path).unwrap(), b"a=b");
        std::fs::write(&path, " ".repeat(MAX_FILE as usize + 1)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("1 MiB"));
        for endless in ["/dev/zero", "/dev"] {
            let error = read(Path::new(endless)).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{error}");
        }
    }
}
