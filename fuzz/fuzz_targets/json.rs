#![no_main]

use courier::format::json;
use courier_fuzz::{is_json, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    assert!(!read(body, json::read) || is_json(body));
});
