#![no_main]

use courier::format::{self, Format};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| courier_fuzz::read(body, |body, out| {
    format::read(Format::Dropwizard, body, out)
}));
