//! TLS 1.2 and 1.3 with a peer that is built with OpenSSL, as Zabbix's own packages are.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use openssl::ssl::{SslFiletype, SslVersion};
use support::openssl_stand_in::{Files, IDENTITY, StandIn, deliver};

/// The versions of TLS that there are.
const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];
const SOON: Duration = Duration::from_secs(20);

#[test]
fn both_versions_are_spoken_by_key_and_by_certificate() {
    let files = Files::new();
    for version in VERSIONS {
        for (tls, peer) in [
            (files.key(IDENTITY, "psk"), StandIn::with_key(version)),
            (
                files.certificate("agent"),
                StandIn::with_certificate(version, &files),
            ),
        ] {
            assert_eq!(deliver(&peer.address, &tls, SOON), Ok(1));
            let (spoken, cipher, length) = peer.seen.recv().unwrap();
            let expected = if version == SslVersion::TLS1_2 {
                "TLSv1.2"
            } else {
                "TLSv1.3"
            };
            assert_eq!((&*spoken, length), (expected, 3 << 20));
            if expected == "TLSv1.2" {
                assert!(cipher.starts_with("ECDHE"), "{cipher}");
            }
        }
    }
}

#[test]
fn a_wrong_key_and_an_unknown_identity_are_told_with_what_to_look_at() {
    let files = Files::new();
    for version in VERSIONS {
        let peer = StandIn::with_key(version);
        for tls in [
            files.key(IDENTITY, "other-psk"),
            files.key("stranger", "psk"),
        ] {
            let error = deliver(&peer.address, &tls, SOON).unwrap_err();
            assert!(
                error.contains("is TLSPSKIdentity in Zabbix, with the key of TLSPSKFile"),
                "{error}"
            );
        }
        let seen = peer.seen.recv_timeout(Duration::from_millis(500));
        assert!(seen.is_err(), "something went through");
    }
}

#[test]
fn a_server_that_shows_a_certificate_in_place_of_the_key_gets_nothing() {
    let files = Files::new();
    for version in VERSIONS {
        let peer = StandIn::new(version, |context| {
            context
                .set_certificate_chain_file(files.at("server.pem"))
                .unwrap();
            context
                .set_private_key_file(files.at("server.key"), SslFiletype::PEM)
                .unwrap();
        });
        let error = deliver(&peer.address, &files.key(IDENTITY, "psk"), SOON).unwrap_err();
        assert!(error.contains("TLSPSKIdentity"), "{error}");
        let seen = peer.seen.recv_timeout(Duration::from_millis(500));
        assert!(seen.is_err(), "something went through");
    }
}

#[test]
fn a_certificate_that_the_server_does_not_trust_is_told_also_after_the_handshake() {
    let files = Files::new();
    for version in VERSIONS {
        let peer = StandIn::with_certificate(version, &files);
        let error = deliver(&peer.address, &files.certificate("stranger"), SOON).unwrap_err();
        assert!(
            error.contains("does its TLSCAFile hold what signed TLSCertFile?"),
            "{error}"
        );
        assert!(!error.contains("not known"), "{error}");
        let seen = peer.seen.recv_timeout(Duration::from_millis(500));
        assert!(seen.is_err(), "something went through");
    }
}

#[test]
fn the_deadline_holds_in_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let files = Files::new();
    for tls in [files.key(IDENTITY, "psk"), files.certificate("agent")] {
        let start = Instant::now();
        let error = deliver(&address, &tls, Duration::from_secs(1)).unwrap_err();
        let elapsed = start.elapsed();
        assert!(error.contains("the TLS handshake: out of time"), "{error}");
        assert!((1000..10_000).contains(&elapsed.as_millis()), "{elapsed:?}");
    }
}

#[test]
fn what_does_not_speak_tls_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = deliver(&address, &Files::new().key(IDENTITY, "psk"), SOON).unwrap_err();
    assert!(error.contains("does not speak TLS"), "{error}");
}
