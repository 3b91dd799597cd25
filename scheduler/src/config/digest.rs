//! Digests, as text.

use md5::{Digest as _, Md5};
use sha2::Sha256;

/// The MD5 of `content`: the original program's id maps name objects by it.
pub fn md5(content: &[u8]) -> String {
    hex(&Md5::digest(content))
}

/// The SHA-256 of `content`.
pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_known_ones() {
        assert_eq!(md5(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
