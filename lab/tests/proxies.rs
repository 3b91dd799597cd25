//! Proxies in a lab.

use std::{
    thread,
    time::{Duration, Instant},
};

use lab::{Lab, ProxySpec, Version};
use serde_json::json;

/// Hands a host to the lab's proxy and waits until the proxy has asked the agent and the server has its answer.
fn a_value_comes_through_a_proxy(version: Version) {
    let lab = Lab::builder()
        .zabbix(version)
        .without_module()
        .start()
        .unwrap();
    let proxy = lab
        .start_proxy(&ProxySpec {
            config: "Timeout=5".into(),
            ..ProxySpec::default()
        })
        .unwrap();
    let api = lab.api();
    let host = api.create_host("behind", &["Lab"], &[], &[]).unwrap();
    let monitored = match version {
        Version::V5_0 | Version::V6_0 => json!({"hostid": host, "proxy_hostid": proxy.id()}),
        Version::V7_0 => json!({"hostid": host, "monitored_by": 1, "proxyid": proxy.id()}),
    };
    api.call("host.update", monitored).unwrap();
    let interface = api
        .call(
            "hostinterface.get",
            json!({"hostids": host, "output": ["interfaceid"]}),
        )
        .unwrap();
    let item = json!({
        "hostid": host, "interfaceid": interface[0]["interfaceid"], "name": "ping", "key_": "agent.ping",
        "type": 0, "value_type": 3, "delay": "1s",
    });
    api.call("item.create", item).unwrap();
    let deadline = Instant::now() + Duration::from_secs(180);
    while api.items(&host).unwrap()[0].last_value != "1" {
        assert!(Instant::now() < deadline, "{}", proxy.log().unwrap());
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_value_comes_through_a_6_0_proxy() {
    a_value_comes_through_a_proxy(Version::V6_0);
}

#[test]
fn a_value_comes_through_a_7_0_proxy() {
    a_value_comes_through_a_proxy(Version::V7_0);
}

#[test]
fn a_server_and_a_proxy_load_the_module() {
    let lab = Lab::builder()
        .without_agent()
        .server_module()
        .start()
        .unwrap();
    let proxy = lab
        .start_proxy(&ProxySpec {
            module: true,
            ..ProxySpec::default()
        })
        .unwrap();
    for log in [lab.server_log().unwrap(), proxy.log().unwrap()] {
        assert!(
            log.contains("loaded modules: /usr/lib/zabbix/modules/libcourier.so"),
            "{log}"
        );
    }

    // A simple check is a server's own item.
    let api = lab.api();
    let host = api.create_host("checked", &["Lab"], &[], &[]).unwrap();
    let interface = api
        .call(
            "hostinterface.get",
            json!({"hostids": host, "output": ["interfaceid"]}),
        )
        .unwrap();
    let check = |key: &str| {
        json!({
            "hostid": host, "interfaceid": interface[0]["interfaceid"], "name": key, "key_": key, "type": 3,
            "value_type": 4, "delay": "1s",
        })
    };
    let version = "courier.version";
    let push = "courier.push[http://127.0.0.1:1/]";
    api.call("item.create", json!([check(version), check(push)]))
        .unwrap();
    lab.reload_config_cache().unwrap();
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let query = json!({"hostids": host, "output": ["key_", "lastvalue", "error"]});
        let items = api.call("item.get", query).unwrap();
        let of = |key: &str, field: &str| {
            let mut items = items.as_array().unwrap().iter();
            let item = items.find(|item| item["key_"] == key).unwrap();
            item[field].as_str().unwrap().to_owned()
        };
        let error = of(push, "error");
        if of(version, "lastvalue") == env!("CARGO_PKG_VERSION") && !error.is_empty() {
            assert!(
                error.contains(
                    "set ServerActive in the agent's configuration (/etc/zabbix/zabbix_server.conf)"
                ),
                "{error}"
            );
            break;
        }
        assert!(Instant::now() < deadline, "{items}");
        thread::sleep(Duration::from_millis(200));
    }
}
