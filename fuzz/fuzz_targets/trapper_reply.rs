#![no_main]

use courier::trapper::frame::{self, HEADER, MAX_REPLY};
use courier::trapper::reply::{self, Error};
use courier_fuzz::{FREE, bounded, check_words};
use libfuzzer_sys::fuzz_target;

/// The window and the tables of zlib.
const ZLIB: usize = 64 << 10;

// An answer as it comes from the connection: its header, then its message.
fuzz_target!(|answer: &[u8]| {
    let Some((header, message)) = answer.split_first_chunk::<HEADER>() else {
        return;
    };
    let header = match frame::read(*header) {
        Ok(header) => header,
        Err(error) => return check_words(&error.to_string()),
    };
    assert!(header.length <= MAX_REPLY as usize);
    let message = message.to_vec();
    let text = match bounded(2 * MAX_REPLY as usize + ZLIB, || header.decompress(message)) {
        Ok(text) => text,
        Err(error) => return check_words(&error.to_string()),
    };
    match bounded(4 * text.len() + FREE, || reply::read(&text)) {
        Err(Error::Redirected(address)) => assert!(!address.host.is_empty()),
        Err(error) => check_words(&error.to_string()),
        Ok(_) => {}
    }
});
