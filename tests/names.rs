//! The key that a value is sent under is the key that Zabbix made of its discovery row, whatever the name, in every
//! version.

mod support;

use std::collections::BTreeSet;

use lab::{App, Lab, Version};
use serde_json::{Value, json};
use support::{Host, LARGE, dry_run, now, same, stats, template};

/// Names with each of Zabbix's special characters in every position, alone and in pairs.
fn awkward_names() -> Vec<String> {
    let special = [
        ",", "]", "\"", "[", " ", "\\", "ü", "日本", "{", "}", "'", "*", "$1", "%", "&", "<",
        "{$A}", "{#B}", "/", "=", ")",
    ];
    let mut names = Vec::new();
    for a in special {
        names.extend([
            a.to_owned(),
            format!("{a}x"),
            format!("x{a}y"),
            format!("x{a}"),
        ]);
        for b in &special[..6] {
            names.extend([format!("{a}{b}"), format!("{a}x{b}"), format!("x{a}{b}y")]);
        }
    }
    names.sort();
    names.dedup();
    names
}

#[test]
fn awkward_names_have_the_keys_that_zabbix_5_0_makes_of_them() {
    keys_are_zabbixs(Version::V5_0);
}

#[test]
fn awkward_names_have_the_keys_that_zabbix_6_0_makes_of_them() {
    keys_are_zabbixs(Version::V6_0);
}

#[test]
fn awkward_names_have_the_keys_that_zabbix_7_0_makes_of_them() {
    keys_are_zabbixs(Version::V7_0);
}

fn keys_are_zabbixs(version: Version) {
    let lab = Lab::builder()
        .zabbix(version)
        .server_config(LARGE)
        .agent_config("Timeout=30\n")
        .start()
        .unwrap();
    lab.api().import_template(&template("dropwizard")).unwrap();
    let names = awkward_names();
    let mut registry: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(i, name)| json!({"kind": "counter", "name": name, "count": i + 1}))
        .collect();
    let long = |letter: &str, length: usize| letter.repeat(length);
    // counter[ + .count] are 15 characters, and a key has at most 2048.
    for name in [
        long("f", 2048 - 15),
        long("ü", 2048 - 15),
        long("t", 2048 - 14),
    ] {
        registry.push(json!({"kind": "counter", "name": name, "count": 7}));
    }
    let app = lab.start_app(App::Dropwizard).unwrap();
    app.post("/registry", Value::Array(registry.clone()).to_string())
        .unwrap();
    let source = app.url();
    let macros = [
        ("{$COURIER.DROPWIZARD.INTERVAL.PUSH}", "1h"),
        ("{$COURIER.DROPWIZARD.INTERVAL.DISCOVERY}", "1h"),
        ("{$COURIER.DROPWIZARD.SOURCE}", &source),
    ];
    let host = Host::new(&lab, "names", &["Concierge Courier Dropwizard"], &macros);

    let sent = dry_run(&lab, &[&source]);
    assert_eq!(
        sent.len(),
        registry.len() - 1,
        "all but the one that is too long"
    );
    let since = now();
    let items = host.discover(sent.len());
    let made: BTreeSet<&String> = items.keys().collect();
    let keys: BTreeSet<&String> = sent.keys().collect();
    let difference: Vec<_> = made.symmetric_difference(&keys).collect();
    assert!(difference.is_empty(), "{difference:?}");
    let push = format!("courier.push[{source},,names]");
    host.push_until(&source, &push, sent.len() as u64);
    for (key, sample) in host.last_samples(&items, since) {
        assert!(same(&sent[&key], &sample.value), "{key}");
    }
    assert_eq!(stats(&lab, &source, "skipped"), "1");
    for _ in 0..5 {
        lab.agent().get(&push).unwrap();
    }
    let log = lab.agent().log().unwrap();
    let said = log
        .lines()
        .filter(|line| line.contains("can make no item") && line.contains("tttt"));
    assert_eq!(said.count(), 1, "{log}");
}
