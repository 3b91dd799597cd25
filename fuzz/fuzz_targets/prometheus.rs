#![no_main]

use courier::format::prometheus;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    courier_fuzz::read(body, prometheus::read);
});
