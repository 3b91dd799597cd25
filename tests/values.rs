//! What arrives in Zabbix is what the application served: discovery, keys, values and clocks, on a real server.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use lab::{App, Application, Lab};
use serde_json::{Value, json};
use support::stub::forwarder;
use support::{Host, LARGE, now, same, stats, template, wait_for};

/// The macros that keep the server from pushing by itself.
const QUIET: [(&str, &str); 2] = [
    ("{$COURIER.DROPWIZARD.INTERVAL.PUSH}", "1h"),
    ("{$COURIER.DROPWIZARD.INTERVAL.DISCOVERY}", "1h"),
];

struct Bench {
    lab: Lab,
}

/// One lab for the whole file; each test starts its own application and host.
fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let lab = Lab::builder()
            .server_config(LARGE)
            .agent_config("Timeout=30\n")
            .courier_toml(
                "[source.second]\nurl = \"http://127.0.0.1:8105/metrics\"\nprefix = \"second.\"\n",
            )
            .start()
            .unwrap();
        lab.api().import_template(&template("dropwizard")).unwrap();
        Bench { lab }
    })
}

impl Bench {
    fn app(&self, port: u16, registry: &Value) -> Application {
        let app = self.lab.start_app_on(App::Dropwizard, port).unwrap();
        app.post("/registry", registry.to_string()).unwrap();
        app.post("/freeze", "").unwrap();
        app
    }

    fn host(&self, name: &str, source: &str) -> Host<'_> {
        let mut macros = QUIET.to_vec();
        macros.push(("{$COURIER.DROPWIZARD.SOURCE}", source));
        Host::new(&self.lab, name, &["Concierge Courier Dropwizard"], &macros)
    }
}

/// What Dropwizard's own JSON says, by the key that each value belongs under.
fn served(body: &str) -> BTreeMap<String, String> {
    let body: Value = serde_json::from_str(body).unwrap();
    let mut values = BTreeMap::new();
    for (section, kind) in [
        ("counters", "counter"),
        ("gauges", "gauge"),
        ("histograms", "histogram"),
        ("meters", "meter"),
        ("timers", "timer"),
    ] {
        for (name, fields) in body[section].as_object().unwrap() {
            for (field, value) in fields.as_object().unwrap() {
                let (kind, value) = match value {
                    Value::Number(number) => (kind, number.to_string()),
                    Value::Bool(flag) => (kind, u8::from(*flag).to_string()),
                    Value::String(text) if kind == "gauge" => ("text", text.clone()),
                    _ => continue,
                };
                values.insert(format!("{kind}[{name}.{field}]"), value);
            }
        }
    }
    values
}

#[test]
fn discovery_makes_every_item_and_history_holds_what_was_served_under_one_clock() {
    let bench = bench();
    let app = bench.app(
        8101,
        &json!([
            {"kind": "timer", "name": "shop.get", "values": [1, 2.5, 1000, 0.001]},
            {"kind": "histogram", "name": "shop.sizes", "values": [1, 2, 3, 900]},
            {"kind": "meter", "name": "shop.requests", "count": 12345},
            {"kind": "counter", "name": "shop.sessions", "count": 42},
            {"kind": "gauge", "name": "shop.load", "value": 0.25},
            {"kind": "gauge", "name": "shop.open", "value": true},
            {"kind": "gauge", "name": "shop.release", "value": "2026.11"},
            {"kind": "gauge", "name": "shop.nothing", "value": null},
            {"kind": "gauge", "name": "shop.list", "value": [1, 2]},
        ]),
    );
    let source = app.url();
    let host = bench.host("values", &source);
    let served = served(&app.metrics().unwrap());
    let expected: BTreeSet<&String> = served.keys().collect();

    let since = now();
    let items = host.discover(enabled(&served).count());
    for key in items.keys() {
        assert!(expected.contains(key), "{key} was never served");
    }
    let push = format!("courier.push[{source},,values]");
    host.push_until(&source, &push, items.len() as u64);
    let samples = host.last_samples(&items, since);
    let mut clocks = BTreeSet::new();
    for (key, sample) in &samples {
        assert!(
            same(&served[key], &sample.value),
            "{key}: {} {}",
            served[key],
            sample.value
        );
        clocks.insert((sample.clock, sample.ns));
    }
    for kind in ["timer", "histogram", "meter", "counter", "gauge", "text"] {
        assert!(samples.keys().any(|key| key.starts_with(kind)), "no {kind}");
    }
    assert_eq!(clocks.len(), 1, "{clocks:?}");
    assert_eq!(stats(&bench.lab, &source, "skipped"), "2");
    assert_eq!(stats(&bench.lab, &source, "status"), "ok");
    assert_eq!(stats(&bench.lab, &source, "error"), "");
    assert_eq!(
        stats(&bench.lab, &source, "values"),
        served.len().to_string()
    );
}

/// The values whose items the template makes enabled: all but some statistics of timers, meters and histograms.
fn enabled(served: &BTreeMap<String, String>) -> impl Iterator<Item = &String> {
    let xml = template("dropwizard");
    let prototypes: Vec<(String, String)> = made_by_default(&xml);
    served.keys().filter(move |key| {
        prototypes.iter().any(|(kind, field)| {
            key.starts_with(&format!("{kind}[")) && key.ends_with(&format!(".{field}]"))
        })
    })
}

/// Type and field of the item prototypes of a template that make items.
fn made_by_default(xml: &str) -> Vec<(String, String)> {
    let prototypes = xml.split("<item_prototype>").skip(1);
    let made = prototypes.filter(|prototype| {
        let end = prototype.find("</item_prototype>").unwrap();
        !prototype[..end].contains("<discover>NO_DISCOVER</discover>")
    });
    made.map(|prototype| {
        let key = prototype
            .split_once("<key>")
            .unwrap()
            .1
            .split_once("]</key>")
            .unwrap()
            .0;
        let (kind, rest) = key.split_once('[').unwrap();
        (kind.to_owned(), rest.rsplit_once('.').unwrap().1.to_owned())
    })
    .collect()
}

#[test]
fn the_seeds_load_of_2000_timers_arrives_whole_in_one_request() {
    let bench = bench();
    let timers: Vec<Value> = (0..2000)
        .map(|i| json!({"kind": "timer", "name": format!("load.timer-{i}"), "values": [i, 2 * i + 1]}))
        .collect();
    let app = bench.app(8102, &Value::Array(timers));
    let source = app.url();
    let host = bench.host("load", &source);
    let served = served(&app.metrics().unwrap());
    assert_eq!(
        served.len(),
        30_000,
        "15 of a timer's 17 fields are numbers"
    );

    let since = now();
    let items = host.discover(22_000);
    assert_eq!(items.len(), 22_000);
    let push = format!("courier.push[{source},,load]");
    host.push_until(&source, &push, 22_000);
    assert_eq!(stats(&bench.lab, &source, "values"), "30000");
    assert_eq!(stats(&bench.lab, &source, "failed"), "8000");
    let samples = host.last_samples(&items, since);
    assert_eq!(samples.len(), 22_000);
    for (key, sample) in &samples {
        assert!(
            same(&served[key], &sample.value),
            "{key}: {} {}",
            served[key],
            sample.value
        );
    }
    let clocks: BTreeSet<_> = samples
        .values()
        .map(|sample| (sample.clock, sample.ns))
        .collect();
    assert_eq!(clocks.len(), 1, "one push, one clock");

    let counted = forwarder(bench.lab.pod(), 10051);
    let to = format!("127.0.0.1:{}", counted.port);
    let push = ["courier", "push", &source, "--host", "load", "--to", &to];
    let output = bench.lab.agent().exec(&push).unwrap();
    assert_eq!(output.status.code(), Some(2), "some values have no item");
    assert_eq!(counted.connections(), 1);
    let taken = ["courier", "stats", &source, "processed"];
    let output = bench.lab.agent().exec(&taken).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "22000");
}

#[test]
fn a_second_source_lives_on_the_same_host_by_its_prefix() {
    let bench = bench();
    let one = bench.app(
        8104,
        &json!([{"kind": "counter", "name": "hits", "count": 1}]),
    );
    let two = bench.app(
        8105,
        &json!([{"kind": "counter", "name": "hits", "count": 2}]),
    );
    let mut xml = template("dropwizard").replace("COURIER.DROPWIZARD", "COURIER.SECOND");
    xml = xml
        .replace("Concierge Courier Dropwizard", "Second")
        .replace("Courier Dropwizard", "Second");
    for kind in ["timer", "gauge", "counter", "meter", "histogram", "text"] {
        let macro_name = kind.to_uppercase();
        xml = xml.replace(
            &format!("{kind}[{{#{macro_name}}}"),
            &format!("{kind}[second.{{#{macro_name}}}"),
        );
    }
    // Another template has other identities.
    let mut parts = xml.split("<uuid>");
    let mut second = parts.next().unwrap().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1);
        let other = if first == "0" { "1" } else { "0" };
        second.push_str(&format!("<uuid>{other}{rest}"));
    }
    bench.lab.api().import_template(&second).unwrap();
    let mut macros = QUIET.to_vec();
    let url = one.url();
    macros.extend([
        ("{$COURIER.DROPWIZARD.SOURCE}", &*url),
        ("{$COURIER.SECOND.SOURCE}", "second"),
        ("{$COURIER.SECOND.INTERVAL.PUSH}", "1h"),
        ("{$COURIER.SECOND.INTERVAL.DISCOVERY}", "1h"),
    ]);
    let templates = ["Concierge Courier Dropwizard", "Second"];
    let host = Host::new(&bench.lab, "both", &templates, &macros);
    let since = now();
    let items = host.discover(2);
    let keys: Vec<&String> = items.keys().collect();
    assert_eq!(keys, ["counter[hits.count]", "counter[second.hits.count]"]);
    host.push_until(&url, &format!("courier.push[{url},,both]"), 1);
    host.push_until("second", "courier.push[second,,both]", 1);
    // Each came by a push of its own.
    for ((key, item), value) in items.into_iter().zip(["1", "2"]) {
        let one = [(key.clone(), item)].into();
        assert_eq!(host.last_samples(&one, since)[&key].value, value, "{key}");
    }
    drop(two);
}

#[test]
fn a_value_that_is_sent_by_the_command_arrives() {
    let bench = bench();
    let api = bench.lab.api();
    let host = api.create_host("state", &["state"], &[], &[]).unwrap();
    let item = json!({"hostid": host, "name": "state", "key_": "container.state", "type": 2, "value_type": 3, "delay": 0});
    api.call("item.create", item).unwrap();
    bench.lab.reload_config_cache().unwrap();
    let send = ["courier", "send", "container.state", "1", "--host", "state"];
    wait_for(
        "processed value",
        std::time::Duration::from_secs(120),
        || {
            let output = bench.lab.agent().exec(&send).unwrap();
            output.status.success().then_some(())
        },
    );
    wait_for("value", std::time::Duration::from_secs(120), || {
        let items = api.items(&host).unwrap();
        (items[0].last_value == "1").then_some(())
    });
}
