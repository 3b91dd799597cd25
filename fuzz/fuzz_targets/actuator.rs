#![no_main]

use courier::format::actuator;
use courier_fuzz::{FREE, bounded, check_words};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    courier_fuzz::read(body, actuator::meter);
    // A list of very short names is the worst case: a name of one letter has four bytes there, and a String here.
    match bounded(24 * body.len() + FREE, || actuator::names(body)) {
        Err(error) => check_words(&error.to_string()),
        Ok(names) => {
            for name in names.unwrap_or_default() {
                let segment = actuator::segment(&name);
                assert!(!matches!(&*segment, "" | "." | ".."), "{name:?}");
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
                assert!(segment.bytes().all(plain), "{segment}");
            }
        }
    }
});
