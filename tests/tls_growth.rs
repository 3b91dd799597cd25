//! What deliveries under TLS leave behind in a process. A test binary of its own: nothing else runs in the process.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use openssl::ssl::SslVersion;
use support::openssl_stand_in::{Files, StandIn, deliver};

#[test]
fn deliveries_leave_no_descriptor_and_no_memory_behind() {
    let files = Files::new();
    let peer = StandIn::with_certificate(SslVersion::TLS1_3, &files);
    let tls = files.certificate("agent");
    let wrong = files.certificate("stranger");
    let round = |count: usize| {
        for _ in 0..count {
            deliver(&peer.address, &tls, Duration::from_secs(20)).unwrap();
            deliver(&peer.address, &wrong, Duration::from_secs(20)).unwrap_err();
        }
        (descriptors(), resident())
    };
    let (before, memory) = round(20);
    let (after, later) = round(60);
    assert_eq!(before, after);
    assert!(later < memory + (4 << 10), "{memory} kB became {later} kB");
}

fn descriptors() -> usize {
    fs::read_dir(Path::new("/proc/self/fd")).unwrap().count()
}

/// In kB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
