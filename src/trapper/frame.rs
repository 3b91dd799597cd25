//! The frame around every message: `ZBXD`, flags, length and a reserved word, both little endian
//! (Zabbix 5.0 to 7.0, "Header and data length"). A compressed message has its full length in the reserved word.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// The bytes before the message.
pub const HEADER: usize = 13;
/// The largest reply that is read, compressed or not: the server's own are a few hundred bytes.
pub const MAX_REPLY: u32 = 64 << 10;
/// What Zabbix reads at the most: 1 GiB.
pub const MAX_REQUEST: usize = 1 << 30;

const MAGIC: &[u8; 4] = b"ZBXD";
const PLAIN: u8 = 0x01;
const COMPRESSED: u8 = 0x03;

/// A header that no Zabbix server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something else listens there.
    #[error("the answer is not Zabbix's protocol: is that port a Zabbix trapper's?")]
    Magic,
    /// Flags of a later protocol.
    #[error("the answer has the unknown flags {0:#04x}")]
    Flags(u8),
    /// A length that cannot be an answer's.
    #[error("the answer is said to have {0} bytes")]
    Length(u32),
    /// A compressed message that is not what its header says.
    #[error("the answer cannot be decompressed")]
    Compression,
}

/// What a header says of the message behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The bytes that follow.
    pub length: usize,
    /// The bytes that they decompress to, where they are compressed.
    full: Option<usize>,
}

/// The header of a plain message of `length` bytes, which lie within [`MAX_REQUEST`].
pub fn header(length: usize) -> [u8; HEADER] {
    write(PLAIN, length, 0)
}

/// A plain `frame`, compressed.
pub fn compressed(frame: &[u8]) -> Vec<u8> {
    let message = frame.get(HEADER..).unwrap_or_default();
    let mut encoder = ZlibEncoder::new(vec![0; HEADER], Compression::fast());
    let written = encoder.write_all(message).and_then(|()| encoder.finish());
    // A vector takes all that is written to it.
    let mut compressed = written.expect("memory can be written to");
    let length = compressed.len() - HEADER;
    compressed[..HEADER].copy_from_slice(&write(COMPRESSED, length, message.len()));
    compressed
}

/// Reads the header of an answer.
///
/// # Errors
/// [`Error`].
pub fn read(header: [u8; HEADER]) -> Result<Header, Error> {
    let word = |at: usize| {
        let word = u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        match word {
            length @ 0..=MAX_REPLY => Ok(length as usize),
            length => Err(Error::Length(length)),
        }
    };
    if &header[..4] != MAGIC {
        return Err(Error::Magic);
    }
    let full = match header[4] {
        PLAIN => None,
        COMPRESSED => Some(word(9)?),
        flags => return Err(Error::Flags(flags)),
    };
    Ok(Header {
        length: word(5)?,
        full,
    })
}

impl Header {
    /// The text of the message, whose bytes are `message`.
    ///
    /// # Errors
    /// [`Error::Compression`].
    pub fn decompress(&self, message: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Some(full) = self.full else {
            return Ok(message);
        };
        // One byte more than there should be tells a message that says too little of itself; it has its place from the
        // beginning, or the text's memory would be doubled for it.
        let mut text = Vec::with_capacity(full + 1);
        let mut decoder = ZlibDecoder::new(&message[..]).take(full as u64 + 1);
        match decoder.read_to_end(&mut text) {
            Ok(length) if length == full => Ok(text),
            _ => Err(Error::Compression),
        }
    }
}

fn write(flags: u8, length: usize, full: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(MAGIC);
    header[4] = flags;
    header[5..9].copy_from_slice(&(length as u32).to_le_bytes());
    header[9..].copy_from_slice(&(full as u32).to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        [&header(message.len()), message].concat()
    }

    fn opened(frame: &[u8]) -> Result<Vec<u8>, Error> {
        let (head, message) = frame.split_at(HEADER);
        let head = read(head.try_into().unwrap())?;
        assert_eq!(head.length, message.len());
        head.decompress(message.to_vec())
    }

    #[test]
    fn a_header_says_the_length_of_its_message() {
        assert_eq!(&header(0x0102)[..], b"ZBXD\x01\x02\x01\0\0\0\0\0\0");
        assert_eq!(read(header(90)).unwrap().length, 90);
    }

    #[test]
    fn a_hostile_header_is_refused() {
        assert_eq!(read(*b"HTTP/1.1 200 "), Err(Error::Magic));
        let large = *b"ZBXD\x05\x02\0\0\0\0\0\0\0";
        assert_eq!(read(large), Err(Error::Flags(5)));
        let long = read(header(u32::MAX as usize));
        assert_eq!(long, Err(Error::Length(u32::MAX)));
        let bomb = read(write(COMPRESSED, 100, 1 << 30));
        assert_eq!(bomb, Err(Error::Length(1 << 30)));
    }

    #[test]
    fn a_message_that_is_not_what_its_header_says_is_refused() {
        let mut bomb = compressed(&framed(&[b' '; 60_000]));
        bomb[9..HEADER].copy_from_slice(&100_u32.to_le_bytes());
        assert_eq!(opened(&bomb), Err(Error::Compression));
        let garbage = [&write(COMPRESSED, 4, 9)[..], b"none"].concat();
        assert_eq!(opened(&garbage), Err(Error::Compression));
    }

    proptest! {
        #[test]
        fn what_is_compressed_is_the_same_when_it_is_opened(message in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let frame = framed(&message);
            prop_assert_eq!(opened(&frame).unwrap(), message.clone());
            prop_assert_eq!(opened(&compressed(&frame)).unwrap(), message);
        }
    }
}
