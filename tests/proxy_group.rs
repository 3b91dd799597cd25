//! A proxy group of Zabbix 7.0: whichever member is asked, the values reach the one that has the host.

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use lab::{Lab, ProxySpec, Version};
use serde_json::{Value, json};
use support::wait_for;

const PORTS: [u16; 2] = [10061, 10062];
const SERVER: u16 = 10051;

#[test]
fn values_follow_a_proxy_groups_redirect() {
    let lab = Lab::builder().zabbix(Version::V7_0).start().unwrap();
    let api = lab.api();
    let group = json!({"name": "group", "failover_delay": "10s", "min_online": "1"});
    let group = api.call("proxygroup.create", group).unwrap()["proxy_groupids"][0].clone();
    let _proxies = PORTS.map(|port| {
        let spec = ProxySpec {
            name: format!("proxy-{port}"),
            port,
            ..ProxySpec::default()
        };
        let proxy = lab.start_proxy(&spec).unwrap();
        let member = json!({
            "proxyid": proxy.id(), "proxy_groupid": group,
            "local_address": "127.0.0.1", "local_port": port.to_string(),
        });
        api.call("proxy.update", member).unwrap();
        proxy
    });
    let host = api.create_host("lab", &["Lab"], &[], &[]).unwrap();
    let item = json!({"hostid": host, "name": "k", "key_": "k", "type": 2, "value_type": 0});
    api.call("item.create", item).unwrap();
    let moved = json!({"hostid": host, "monitored_by": 2, "proxy_groupid": group});
    api.call("host.update", moved).unwrap();

    // Exactly one member has the host; the other one, once it knows, names it.
    let own = wait_for(
        "proxy that is redirected to",
        Duration::from_secs(150),
        || {
            let redirected: Vec<String> = PORTS
                .iter()
                .filter_map(|port| redirect(&lab, *port))
                .collect();
            match &redirected[..] {
                [one] => Some(one.clone()),
                _ => None,
            }
        },
    );
    assert!(
        PORTS.iter().any(|port| own == format!("127.0.0.1:{port}")),
        "{own}"
    );

    for (port, value) in [(PORTS[0], "1.5"), (PORTS[1], "2.5"), (SERVER, "3.5")] {
        let to = format!("127.0.0.1:{port}");
        // A member knows its group before it knows the host's items.
        let send = ["courier", "send", "k", value, "--to", &to];
        wait_for(
            &format!("{to} that takes"),
            Duration::from_secs(180),
            || {
                let sent = lab.agent().exec(&send).unwrap();
                sent.status.success().then_some(())
            },
        );
        wait_for(
            &format!("{value} by {to}"),
            Duration::from_secs(180),
            || {
                let history = api.history(&api.items(&host).unwrap()).unwrap();
                history
                    .iter()
                    .any(|sample| sample.value == value)
                    .then_some(())
            },
        );
    }
}

/// Where a member redirects values of the host to, if it does.
fn redirect(lab: &Lab, port: u16) -> Option<String> {
    let message =
        json!({"request": "sender data", "data": [{"host": "lab", "key": "k", "value": "0"}]})
            .to_string();
    let mut stream = lab.pod().connect(port).ok()?;
    let length = (message.len() as u64).to_le_bytes();
    stream
        .write_all(&[b"ZBXD\x01", &length[..], message.as_bytes()].concat())
        .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer: Value = serde_json::from_slice(answer.get(13..)?).ok()?;
    answer["redirect"]["address"].as_str().map(str::to_owned)
}
