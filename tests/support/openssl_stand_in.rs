//! Stand-ins for a Zabbix server that is built with OpenSSL: OpenSSL's server side with Zabbix's frame behind it.
//! Debian's servers, which the lab has, are built with GnuTLS and speak TLS 1.2 alone.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use courier::deadline::Deadline;
use courier::settings::agent::Agent;
use courier::settings::tls::Tls;
use courier::trapper::deliver::{self, Delivery};
use courier::trapper::destination;
use courier::trapper::request::Stamp;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion,
};

use super::pki::{Authority, Leaf};

pub const IDENTITY: &str = "lab key";
const KEY: &str = "2f0b3c9d5e7a41c8b6d09e1f23456789";

/// A trapper behind OpenSSL's server side. It is told of a request its version of TLS, its cipher and its length.
pub struct StandIn {
    /// Where it listens.
    pub address: String,
    /// What it was told, each time that a request came whole.
    pub seen: Receiver<(String, String, usize)>,
}

impl StandIn {
    /// Speaks this version of TLS alone.
    pub fn new(version: SslVersion, configure: impl FnOnce(&mut SslContextBuilder)) -> Self {
        let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
        context.set_min_proto_version(Some(version)).unwrap();
        context.set_max_proto_version(Some(version)).unwrap();
        configure(&mut context);
        let context = context.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, seen) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A handshake that fails is what some tests are about.
                let Ok(mut tls) = Ssl::new(&context).unwrap().accept(stream) else {
                    continue;
                };
                let mut header = [0; 13];
                if tls.read_exact(&mut header).is_err() {
                    continue;
                }
                let length = u32::from_le_bytes(header[5..9].try_into().unwrap());
                let mut message = vec![0; length as usize];
                tls.read_exact(&mut message).unwrap();
                let answer = br#"{"response":"success","info":"processed: 1; failed: 0; total: 1; seconds spent: 0.1"}"#;
                tls.write_all(b"ZBXD\x01").unwrap();
                tls.write_all(&(answer.len() as u64).to_le_bytes()).unwrap();
                tls.write_all(answer).unwrap();
                let version = tls.ssl().version_str().to_owned();
                let cipher = tls.ssl().current_cipher().unwrap().name().to_owned();
                let _ = sender.send((version, cipher, message.len()));
            }
        });
        StandIn { address, seen }
    }

    /// Knows one key.
    pub fn with_key(version: SslVersion) -> Self {
        StandIn::new(version, |context| {
            context.set_cipher_list("PSK").unwrap();
            context.set_psk_server_callback(|_, identity, key| {
                if identity != Some(IDENTITY.as_bytes()) {
                    return Ok(0);
                }
                let bytes = (0..KEY.len() / 2)
                    .map(|at| u8::from_str_radix(&KEY[2 * at..2 * at + 2], 16).unwrap());
                for (to, byte) in key.iter_mut().zip(bytes) {
                    *to = byte;
                }
                Ok(KEY.len() / 2)
            });
        })
    }

    /// Has a certificate of its own and wants one.
    pub fn with_certificate(version: SslVersion, files: &Files) -> Self {
        StandIn::new(version, |context| {
            context.set_ca_file(files.at("ca.pem")).unwrap();
            context
                .set_certificate_chain_file(files.at("server.pem"))
                .unwrap();
            context
                .set_private_key_file(files.at("server.key"), SslFiletype::PEM)
                .unwrap();
            context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        })
    }
}

/// A folder of keys and certificates.
pub struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    /// Keys and certificates, right and wrong ones.
    pub fn new() -> Self {
        let files = Files {
            folder: tempfile::tempdir().unwrap(),
        };
        let (own, other) = (Authority::new("Lab CA"), Authority::new("Other CA"));
        let (server, agent) = (
            own.sign("server", &Leaf::default()),
            own.sign("agent", &Leaf::default()),
        );
        let stranger = other.sign("agent", &Leaf::default());
        for (name, content) in [
            ("ca.pem", &own.pem),
            ("server.pem", &server.certificate),
            ("server.key", &server.key),
            ("agent.pem", &agent.certificate),
            ("agent.key", &agent.key),
            ("stranger.pem", &stranger.certificate),
            ("stranger.key", &stranger.key),
            ("psk", &KEY.to_owned()),
            ("other-psk", &KEY.chars().rev().collect()),
        ] {
            fs::write(files.at(name), content).unwrap();
        }
        files
    }

    /// A file's path.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The settings of a key.
    pub fn key(&self, identity: &str, file: &str) -> Tls {
        tls(&format!(
            "TLSConnect=psk\nTLSPSKIdentity={identity}\nTLSPSKFile={}",
            self.at(file).display()
        ))
    }

    /// The settings of a certificate.
    pub fn certificate(&self, name: &str) -> Tls {
        let at = |file: &str| self.at(file).display().to_string();
        tls(&format!(
            "TLSConnect=cert\nTLSCAFile={}\nTLSCertFile={}\nTLSKeyFile={}\n\
             TLSServerCertIssuer=CN=Lab CA,O=Lab\nTLSServerCertSubject=CN=server,O=Lab",
            at("ca.pem"),
            at(&format!("{name}.pem")),
            at(&format!("{name}.key")),
        ))
    }
}

fn tls(config: &str) -> Tls {
    Agent::parse(config).tls().unwrap()
}

/// Delivers a frame of 3 MB, which many TLS records make.
pub fn deliver(to: &str, tls: &Tls, patience: Duration) -> Result<u64, String> {
    let message = vec![b' '; 3 << 20];
    let header = [&b"ZBXD\x01"[..], &(message.len() as u64).to_le_bytes()].concat();
    let delivery = Delivery {
        destinations: &[destination::parse(to).unwrap()],
        from: None,
        tls,
        compress: false,
        deadline: Deadline::after(patience),
        spool: None,
    };
    let stamp = Stamp { clock: 1, ns: 0 };
    deliver::deliver(&delivery, stamp, &[header, message].concat())
        .map(|answers| answers.fewest().processed)
        .map_err(|error| error.to_string())
}
