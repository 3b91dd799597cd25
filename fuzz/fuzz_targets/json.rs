#![no_main]

use courier::format::json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| courier_fuzz::read(body, json::read));
