#![no_main]

use courier::format::{self, Budget, Format, detect};
use courier_fuzz::{FREE, bounded, check_words};
use libfuzzer_sys::fuzz_target;

// The first line is the content type, the rest the body.
fuzz_target!(|input: &[u8]| {
    let cut = input.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (content_type, body) = input.split_at(cut);
    let content_type = str::from_utf8(content_type).ok();
    match bounded(4 * input.len() + FREE, || detect(content_type, body)) {
        Err(error) => check_words(&error.to_string()),
        Ok(format) => {
            assert_ne!(format, Format::Auto);
            courier_fuzz::read(body, |body, out| {
                format::read(format, body, &mut Budget::new(out))
            });
        }
    }
});
