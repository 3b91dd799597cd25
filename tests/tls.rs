//! Discovery and push under TLS, end to end, against the servers that Debian ships: they are built with GnuTLS.

mod support;

use std::time::Duration;

use lab::{Agent, AgentSpec, App, Lab, Version};
use serde_json::json;
use support::pki::{Authority, Leaf, Pair};
use support::{template, wait_for};

const KEY: &str = "2f0b3c9d5e7a41c8b6d09e1f23456789abcdef0123456789fedcba9876543210";
const REVOKED: u64 = 7;

#[test]
fn zabbix_5_0_is_reached_plain_by_key_and_by_certificate() {
    reached(Version::V5_0);
}

#[test]
fn zabbix_6_0_is_reached_plain_by_key_and_by_certificate() {
    reached(Version::V6_0);
}

#[test]
fn zabbix_7_0_is_reached_plain_by_key_and_by_certificate() {
    reached(Version::V7_0);
}

/// What Zabbix calls the ways to connect (`tls_connect`, `tls_accept`).
#[derive(Clone, Copy)]
enum Mode {
    Plain = 1,
    Psk = 2,
    Certificate = 4,
}

const MODES: [(Mode, &str, u16); 3] = [
    (Mode::Plain, "plain", 10050),
    (Mode::Psk, "psk", 10060),
    (Mode::Certificate, "cert", 10070),
];

fn reached(version: Version) {
    let authority = Authority::new("Lab CA");
    let bench = Bench::start(version, &authority);
    let app = bench.lab.start_app(App::Dropwizard).unwrap();
    let xml = template("dropwizard");
    bench.lab.api().import_template(&xml).unwrap();

    let agents = MODES.map(|(mode, name, port)| bench.agent(mode, name, port, &authority));
    let hosts = MODES.map(|(mode, name, port)| bench.host(mode, name, port));
    bench.lab.reload_config_cache().unwrap();
    for (host, agent) in hosts.iter().zip(&agents) {
        bench.fills(host, agent, &app.url());
    }
    for agent in &agents {
        let stats = |field| {
            let key = format!("courier.stats[{},{field}]", app.url());
            agent.get(&key).unwrap()
        };
        wait_for("a push that went well", Duration::from_secs(60), || {
            let last = (stats("status"), stats("error"));
            (last == ("ok".to_owned(), String::new())).then_some(())
        });
    }
    let [_, psk, certificate] = &agents;
    mistakes_with_keys(psk);
    mistakes_with_certificates(certificate, &Authority::new("Other CA"), &authority);

    // Once, whichever of the agent's processes pushes.
    let log = psk.log().unwrap();
    let warning = "everybody on this machine can read the key";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(!log.contains(&KEY[..32]), "{log}");
}

struct Bench {
    lab: Lab,
}

impl Bench {
    /// A server with the certificate CN=server,O=Lab.
    fn start(version: Version, authority: &Authority) -> Self {
        let include = "Include=/etc/zabbix/zabbix_server.conf.d/*.conf";
        let lab = Lab::builder()
            .zabbix(version)
            .without_agent()
            .server_config(include);
        let lab = lab.start().unwrap();
        let own = authority.sign(
            "server",
            &Leaf {
                serial: REVOKED,
                ..Leaf::default()
            },
        );
        let made = lab
            .pod()
            .exec(&["mkdir", "-p", "/etc/zabbix/zabbix_server.conf.d"]);
        assert!(made.unwrap().status.success());
        let config = "TLSCAFile=/etc/zabbix/ca.pem\nTLSCertFile=/etc/zabbix/server.pem\nTLSKeyFile=/etc/zabbix/server.key\n";
        for (name, content) in [
            ("ca.pem", &*authority.pem),
            ("server.pem", &own.certificate),
            ("server.key", &own.key),
            ("zabbix_server.conf.d/tls.conf", config),
        ] {
            let path = format!("/etc/zabbix/{name}");
            lab.pod().write_file(&path, content.as_bytes()).unwrap();
        }
        lab.stop_server().unwrap();
        lab.start_server().unwrap();
        Bench { lab }
    }

    fn agent(&self, mode: Mode, name: &str, port: u16, authority: &Authority) -> Agent {
        let spec = AgentSpec {
            hostname: name.into(),
            port,
            courier_toml: Some(mode.settings().into()),
            ..AgentSpec::default()
        };
        let agent = self.lab.start_agent(&spec).unwrap();
        let Pair { certificate, key } = authority.sign("agent", &Leaf::default());
        for (name, content) in [
            ("psk", KEY),
            ("ca.pem", &*authority.pem),
            ("crl.pem", &authority.revoked(&[99])),
            ("agent.pem", &certificate),
            ("agent.key", &key),
            ("tls.conf", mode.parameters()),
        ] {
            let path = format!("/etc/zabbix/{name}");
            agent.write_file(&path, content.as_bytes()).unwrap();
        }
        // The agent reads the files when it starts, so that they must be there before its configuration says so.
        let include = "echo Include=/etc/zabbix/tls.conf >>/etc/zabbix/zabbix_agentd.conf";
        let output = agent.exec(&["sh", "-c", include]).unwrap();
        assert!(output.status.success(), "{output:?}");
        agent.restart().unwrap();
        agent
    }

    /// A host that is connected to, and accepted, in this mode alone.
    fn host(&self, mode: Mode, name: &str, port: u16) -> String {
        let api = self.lab.api();
        let macros = [
            ("{$COURIER.DROPWIZARD.INTERVAL.PUSH}", "3s"),
            ("{$COURIER.DROPWIZARD.INTERVAL.DISCOVERY}", "5s"),
        ];
        let template = "Concierge Courier Dropwizard";
        let id = api
            .create_host(name, &["Lab"], &[template], &macros)
            .unwrap();
        let mut change = json!({"hostid": id, "tls_connect": mode as u8, "tls_accept": mode as u8});
        match mode {
            Mode::Plain => {}
            Mode::Psk => {
                change["tls_psk_identity"] = json!("lab key");
                change["tls_psk"] = json!(KEY);
            }
            Mode::Certificate => {
                change["tls_issuer"] = json!("CN=Lab CA,O=Lab");
                change["tls_subject"] = json!("CN=agent,O=Lab");
            }
        }
        api.call("host.update", change).unwrap();
        let of_host = json!({"hostids": id, "output": ["interfaceid"]});
        let interfaces = api.call("hostinterface.get", of_host).unwrap();
        let change = json!({"interfaceid": interfaces[0]["interfaceid"], "port": port.to_string()});
        api.call("hostinterface.update", change).unwrap();
        id
    }

    /// Waits until the server has asked the agent for its discovery, made the items, asked for a push and got all its
    /// values.
    fn fills(&self, host: &str, agent: &Agent, source: &str) {
        let what = format!("values of host {host} on {}", self.lab.version());
        wait_for(&what, Duration::from_secs(150), || {
            let items = self.lab.api().items(host).unwrap();
            let stats = |field| agent.get(&format!("courier.stats[{source},{field}]")).ok();
            let last = |key: &str| {
                let item = items.iter().find(|item| item.key.starts_with(key)).unwrap();
                item.last_value.parse::<f64>().unwrap_or_default()
            };
            let filled = items
                .iter()
                .filter(|item| item.discovered && item.last_clock > 0);
            let filled = filled.count();
            let all = filled > 20 && stats("processed") == Some(filled.to_string());
            (all && last("courier.push[") >= 1.0).then_some(())
        });
    }
}

impl Mode {
    /// Compressed frames belong to every version, so they go one of the ways.
    fn settings(self) -> &'static str {
        match self {
            Mode::Psk => "[deliver]\ncompress = true\n",
            Mode::Plain | Mode::Certificate => "",
        }
    }

    fn parameters(self) -> &'static str {
        match self {
            Mode::Plain => "",
            Mode::Psk => {
                "TLSConnect=psk\nTLSAccept=psk,unencrypted\nTLSPSKIdentity=lab key\nTLSPSKFile=/etc/zabbix/psk\n"
            }
            Mode::Certificate => {
                "TLSConnect=cert\nTLSAccept=cert,unencrypted\nTLSCAFile=/etc/zabbix/ca.pem\nTLSCRLFile=/etc/zabbix/crl.pem\n\
                 TLSCertFile=/etc/zabbix/agent.pem\nTLSKeyFile=/etc/zabbix/agent.key\n\
                 TLSServerCertIssuer=CN=Lab CA,O=Lab\nTLSServerCertSubject=CN=server,O=Lab\n"
            }
        }
    }
}

/// What the command says when the agent's configuration has these further lines.
fn says(agent: &Agent, lines: &str) -> String {
    let config = agent
        .exec(&["cat", "/etc/zabbix/zabbix_agentd.conf"])
        .unwrap();
    let config = [&config.stdout[..], lines.as_bytes()].concat();
    agent.write_file("/etc/zabbix/wrong.conf", &config).unwrap();
    let send = [
        "courier",
        "--config",
        "/etc/zabbix/wrong.conf",
        "send",
        "k",
        "1",
    ];
    // Its own deadline is two seconds, for which a busy machine may hold up all that takes part.
    let attempt = |_| {
        let output = agent.exec(&send).unwrap();
        assert_eq!(output.status.code(), Some(1), "{lines}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let mut attempts = (0..3).map(attempt);
    let said = attempts.find(|said| !said.contains("out of time"));
    let said = said.expect("an attempt in time");
    assert!(!said.contains(&KEY[..32]), "{said}");
    said
}

fn expect(agent: &Agent, lines: &str, words: &[&str]) {
    let said = says(agent, lines);
    eprintln!("{lines}: {said}");
    for word in words {
        assert!(said.contains(word), "{lines}: {said}");
    }
}

fn mistakes_with_keys(agent: &Agent) {
    let other = KEY.chars().rev().collect::<String>();
    agent
        .write_file("/etc/zabbix/other-psk", other.as_bytes())
        .unwrap();
    let same_key = "is TLSPSKIdentity in Zabbix, with the key of TLSPSKFile";
    expect(agent, "TLSPSKFile=/etc/zabbix/other-psk", &[same_key]);
    expect(
        agent,
        "TLSPSKIdentity=stranger",
        &["is TLSPSKIdentity in Zabbix"],
    );
    expect(
        agent,
        "TLSPSKFile=/etc/zabbix/none",
        &["TLSPSKFile=/etc/zabbix/none: No such file"],
    );
    expect(
        agent,
        "TLSPSKFile=/etc/zabbix/ca.pem",
        &["32 to 512 hexadecimal digits"],
    );
    expect(agent, "TLSConnect=tls", &["TLSConnect=tls"]);
}

fn mistakes_with_certificates(agent: &Agent, other: &Authority, own: &Authority) {
    let stranger = other.sign("agent", &Leaf::default());
    for (name, content) in [
        ("other-ca.pem", &*other.pem),
        ("other.pem", &stranger.certificate),
        ("other.key", &stranger.key),
        ("revoked.pem", &own.revoked(&[REVOKED])),
        ("other-crl.pem", &other.revoked(&[])),
    ] {
        let path = format!("/etc/zabbix/{name}");
        agent.write_file(&path, content.as_bytes()).unwrap();
    }
    let signed = "TLSCAFile must hold the authority that signed the server's certificate";
    expect(
        agent,
        "TLSCRLFile=\nTLSCAFile=/etc/zabbix/other-ca.pem",
        &[signed],
    );
    expect(
        agent,
        "TLSCRLFile=/etc/zabbix/revoked.pem",
        &["certificate revoked; TLSCRLFile lists it"],
    );
    expect(
        agent,
        "TLSCRLFile=/etc/zabbix/other-crl.pem",
        &["unable to get certificate CRL"],
    );
    expect(
        agent,
        "TLSServerCertIssuer=CN=Other CA,O=Lab",
        &[r#"the issuer "CN=Lab CA,O=Lab", where TLSServerCertIssuer wants "CN=Other CA,O=Lab""#],
    );
    expect(
        agent,
        "TLSServerCertSubject=CN=server",
        &[r#"the subject "CN=server,O=Lab""#],
    );
    expect(
        agent,
        "TLSCertFile=/etc/zabbix/other.pem\nTLSKeyFile=/etc/zabbix/other.key",
        &["does its TLSCAFile hold what signed TLSCertFile?"],
    );
    expect(
        agent,
        "TLSKeyFile=/etc/zabbix/other.key",
        &["it is not the key of the certificate in TLSCertFile"],
    );
    expect(
        agent,
        "TLSCRLFile=/etc/zabbix/agent.key",
        &["TLSCRLFile=/etc/zabbix/agent.key: it holds no list"],
    );
}
