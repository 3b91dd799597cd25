//! The frame around every message: `ZBXD`, flags, length and a reserved word, both little endian
//! (Zabbix 5.0 to 7.0, "Header and data length").

/// The bytes before the message.
pub const HEADER: usize = 13;
/// The largest reply that is read: the server's own are a few hundred bytes.
pub const MAX_REPLY: u32 = 1 << 20;
/// What Zabbix reads at the most: 1 GiB.
pub const MAX_REQUEST: usize = 1 << 30;

const MAGIC: &[u8; 4] = b"ZBXD";
const PLAIN: u8 = 0x01;

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
}

/// The header of a plain message of `length` bytes, which lie within [`MAX_REQUEST`].
pub fn header(length: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(MAGIC);
    header[4] = PLAIN;
    header[5..9].copy_from_slice(&(length as u32).to_le_bytes());
    header
}

/// The length of the message behind `header`.
///
/// # Errors
/// [`Error`].
pub fn message_length(header: [u8; HEADER]) -> Result<usize, Error> {
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if &header[..4] != MAGIC {
        return Err(Error::Magic);
    }
    if header[4] != PLAIN {
        return Err(Error::Flags(header[4]));
    }
    match word(5) {
        length @ 0..=MAX_REPLY => Ok(length as usize),
        length => Err(Error::Length(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_the_length_of_its_message() {
        assert_eq!(&header(0x0102)[..], b"ZBXD\x01\x02\x01\0\0\0\0\0\0");
        assert_eq!(message_length(header(90)), Ok(90));
    }

    #[test]
    fn a_hostile_header_is_refused() {
        assert_eq!(message_length(*b"HTTP/1.1 200 "), Err(Error::Magic));
        assert_eq!(
            message_length(*b"ZBXD\x05\x02\0\0\0\0\0\0\0"),
            Err(Error::Flags(5))
        );
        assert_eq!(
            message_length(header(u32::MAX as usize)),
            Err(Error::Length(u32::MAX))
        );
    }
}
