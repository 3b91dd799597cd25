//! Sources over https: whose certificates are trusted, and what is said of the others.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lab::{App, Lab};
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslVersion};
use openssl::x509::X509;
use support::pki::{Authority, Leaf, Pair};

/// A stand-in: TLS in front of an application that speaks none, with a body that the application served.
struct Front {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Front {
    fn new(lab: &Lab, version: SslVersion, own: &Pair, body: &str) -> Self {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        let certificate = X509::from_pem(own.certificate.as_bytes()).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        let key = PKey::private_key_from_pem(own.key.as_bytes()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_max_proto_version(Some(version)).unwrap();
        let acceptor = acceptor.build();
        let listener: TcpListener = lab.pod().listen(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, body) = (connections.clone(), body.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acceptor, body, count) = (acceptor.clone(), body.clone(), count.clone());
                thread::spawn(move || {
                    // A client that turns away is what some tests are about.
                    if let Ok(tls) = acceptor.accept(stream) {
                        count.fetch_add(1, Ordering::SeqCst);
                        serve(tls, &body);
                    }
                });
            }
        });
        Front { port, connections }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/metrics", self.port)
    }
}

/// Answers one request after the other, until the client closes.
fn serve(mut stream: impl Read + Write, body: &str) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        request.extend_from_slice(&buffer[..read]);
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            let answer = [head.as_bytes(), body.as_bytes()].concat();
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

#[test]
fn an_https_source_is_read_where_its_certificate_is_trusted_and_told_why_where_not() {
    let toml = "allow = ['http://127.0.0.1:*/', 'https://127.0.0.1:*/', 'https://localhost:*/']\n";
    let lab = Lab::builder()
        .agent_config("Timeout=30\n")
        .courier_toml(toml)
        .start()
        .unwrap();
    let app = lab.start_app(App::Dropwizard).unwrap();
    app.post("/freeze", "").unwrap();
    let body = app.metrics().unwrap();
    let discover = |source: &str| {
        lab.agent()
            .get(&format!("courier.discover[{source}]"))
            .map_err(|error| error.to_string())
    };
    let expected = discover(&app.url()).unwrap();

    let (own, other) = (Authority::new("Lab CA"), Authority::new("Other CA"));
    let good = own.sign("app", &Leaf::default());
    let expired = Leaf {
        expired: true,
        ..Leaf::default()
    };
    let elsewhere = Leaf {
        names: &["app.example"],
        ..Leaf::default()
    };
    let front = |pair: &Pair| Front::new(&lab, SslVersion::TLS1_3, pair, &body);
    let (good13, good12) = (
        front(&good),
        Front::new(&lab, SslVersion::TLS1_2, &good, &body),
    );
    let expired = front(&own.sign("app", &expired));
    let elsewhere = front(&own.sign("app", &elsewhere));
    let stranger = front(&other.sign("app", &Leaf::default()));

    let sources = [
        ("tls13", good13.url("127.0.0.1"), "app-ca"),
        ("tls12", good12.url("localhost"), "app-ca"),
        ("expired", expired.url("127.0.0.1"), "app-ca"),
        ("elsewhere", elsewhere.url("localhost"), "app-ca"),
        ("stranger", stranger.url("localhost"), "app-ca"),
        ("missing", good13.url("localhost"), "none"),
        ("plain", app.url().replace("http://", "https://"), "app-ca"),
    ];
    let sources = sources.map(|(name, url, ca)| {
        format!("[source.{name}]\nurl = '{url}'\nca_file = '/etc/zabbix/{ca}.pem'\n")
    });
    let agent = lab.agent();
    let settings = [toml, &sources.concat()].concat();
    agent
        .write_file("/etc/zabbix/app-ca.pem", own.pem.as_bytes())
        .unwrap();
    agent
        .write_file("/etc/zabbix/courier.toml", settings.as_bytes())
        .unwrap();

    for name in ["tls13", "tls12"] {
        assert_eq!(discover(name), Ok(expected.clone()), "{name}");
    }
    for (name, words) in [
        (
            "expired",
            "certificate has expired; renew it, or set this machine's clock",
        ),
        (
            "elsewhere",
            "hostname mismatch; the url must name the host as the certificate does",
        ),
        (
            "stranger",
            "; ca_file of the source in courier.toml must hold the authority that signed it",
        ),
        ("missing", "ca_file /etc/zabbix/none.pem: No such file"),
        ("plain", "does not speak TLS"),
    ] {
        let error = discover(name).unwrap_err();
        assert!(error.contains(words), "{name}: {error}");
    }

    // A URL in an item's key has no ca_file: the system's authorities count.
    let url = good13.url("127.0.0.1");
    let error = discover(&url).unwrap_err();
    assert!(error.contains("ca_file of the source"), "{error}");
    let made = agent.exec(&["mkdir", "-p", "/etc/ssl/certs"]).unwrap();
    assert!(made.status.success());
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    agent.write_file(bundle, own.pem.as_bytes()).unwrap();
    agent.restart().unwrap();
    let before = good13.connections.load(Ordering::SeqCst);
    for _ in 0..30 {
        assert_eq!(discover(&url), Ok(expected.clone()));
    }
    let made = good13.connections.load(Ordering::SeqCst) - before;
    assert!(
        (1..=3).contains(&made),
        "{made} connections of three listeners"
    );
}
