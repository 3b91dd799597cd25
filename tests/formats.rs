//! Applications that others wrote, end to end: every series becomes items, and history holds what was served.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::sync::OnceLock;
use std::time::Duration;

use lab::{App, Lab, Version};
use regex::Regex;
use serde_json::{Value, json};
use support::stub::{Behaviour, Stub, http, routes};
use support::{Host, LARGE, dry_run, now, same, stats, template, wait_for};

const SETTINGS: &str = "\
allow = ['http://127.0.0.1:*/', 'file:///srv/metrics/']
[source.old]
url = '/srv/metrics/old.json'
keys = 'enfield'
[source.openmetrics]
url = 'http://127.0.0.1:8083/metrics'
headers = { Accept = 'application/openmetrics-text' }
";

/// One lab of Zabbix 6.0 for the whole file.
fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let lab = Lab::builder()
            .zabbix(Version::V6_0)
            .server_config(LARGE)
            .agent_config("Timeout=30\n")
            .courier_toml(SETTINGS)
            .start()
            .unwrap();
        for name in ["dropwizard", "prometheus", "actuator"] {
            lab.api().import_template(&template(name)).unwrap();
        }
        let made = lab.agent().exec(&["mkdir", "-p", "/srv/metrics"]).unwrap();
        assert!(made.status.success());
        lab
    })
}

/// A host with one of the templates, for a source that nothing but the test pushes.
fn host<'a>(lab: &'a Lab, name: &str, template: &str, source: &str) -> Host<'a> {
    let macro_of = |what: &str| format!("{{$COURIER.{}.{what}}}", template.to_uppercase());
    let macros = [
        (macro_of("SOURCE"), source),
        (macro_of("INTERVAL.PUSH"), "1h"),
        (macro_of("INTERVAL.DISCOVERY"), "1h"),
    ];
    let macros: Vec<(&str, &str)> = macros
        .iter()
        .map(|(name, value)| (&**name, *value))
        .collect();
    Host::new(
        lab,
        name,
        &[&format!("Concierge Courier {template}")],
        &macros,
    )
}

/// Keeps a body in a file beside the agent, so that it stands still while Zabbix looks at it.
fn kept(lab: &Lab, name: &str, body: &str) -> String {
    let path = format!("/srv/metrics/{name}");
    lab.agent().write_file(&path, body.as_bytes()).unwrap();
    format!("file://{path}")
}

/// Discovers and pushes a source, and compares what Zabbix holds with what was served. A series has items also while
/// its value is none.
fn arrives(host: &Host<'_>, source: &str, prefix: &str, served: &BTreeMap<String, String>) {
    let lab = lab();
    let since = now();
    let mut items = host.discover(served.len());
    let made: BTreeSet<&String> = items.keys().collect();
    let expected: BTreeSet<&String> = served.keys().collect();
    let difference: Vec<_> = made.symmetric_difference(&expected).collect();
    assert!(difference.is_empty(), "{difference:?}");
    items.retain(|key, _| served[key].parse::<f64>().unwrap().is_finite());
    let push = format!("courier.push[{source},,{},,,{prefix}]", host.name);
    host.push_until(source, &push, items.len() as u64);
    let samples = host.last_samples(&items, since);
    for (key, sample) in &samples {
        let value = &served[key];
        assert!(
            same(value, &sample.value),
            "{key}: {value} {}",
            sample.value
        );
    }
    let clocks: BTreeSet<_> = samples
        .values()
        .map(|sample| (sample.clock, sample.ns))
        .collect();
    assert_eq!(clocks.len(), 1, "one push, one clock");
    assert_eq!(stats(lab, source, "failed"), "0");
    let skipped = (served.len() - items.len()).to_string();
    assert_eq!(stats(lab, source, "skipped"), skipped);
}

/// What a body of Prometheus text holds, by key: a plain reading, line by line, of what exporters really write.
fn prometheus(body: &str) -> BTreeMap<String, String> {
    let label = Regex::new(r#"(\w+)="((?:[^"\\]|\\.)*)""#).unwrap();
    let mut types = BTreeMap::new();
    let mut values = BTreeMap::new();
    for line in body.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let mut labels: Vec<(String, String)> = label
            .captures_iter(series.split_once('{').map_or("", |(_, labels)| labels))
            .map(|found| (found[1].to_owned(), unescaped(&found[2])))
            .collect();
        labels.sort();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|end| Some((name.strip_suffix(end)?, *end)))
            .find(|(family, _)| {
                matches!(
                    types.get(*family).map(String::as_str),
                    Some("histogram" | "summary")
                )
            });
        let kind = types
            .get(family.map_or(name, |(family, _)| family))
            .map_or("untyped", |kind| kind);
        let (kind, name, field) = match (kind, family) {
            ("histogram", Some((family, "_bucket"))) => ("bucket", family, "count"),
            (kind, Some((family, "_sum"))) => (kind, family, "sum"),
            (kind, Some((family, "_count"))) => (kind, family, "count"),
            ("summary", _) => ("quantile", name, "value"),
            ("counter", _) => ("counter", name, "count"),
            (kind, _) => (kind, name, "value"),
        };
        values.insert(key(kind, name, &labels, field), value.to_owned());
    }
    values
}

fn unescaped(text: &str) -> String {
    text.replace(r"\\", "\u{0}")
        .replace("\\\"", "\"")
        .replace("\\n", "\n")
        .replace('\u{0}', "\\")
}

fn key(kind: &str, name: &str, labels: &[(String, String)], field: &str) -> String {
    let escaped = |value: &str| {
        value.chars().fold(String::new(), |mut out, c| {
            if r"\,={}".contains(c) {
                out.push('\\');
            }
            out.push(c);
            out
        })
    };
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    };
    let parameter = format!("prom.{name}{labels}.{field}");
    if parameter.contains([',', ']']) {
        format!("{kind}[\"{}\"]", parameter.replace('"', "\\\""))
    } else {
        format!("{kind}[{parameter}]")
    }
}

#[test]
fn node_exporter_arrives_whole() {
    let lab = lab();
    let app = lab.start_app(App::NodeExporter).unwrap();
    let source = kept(lab, "node.txt", &app.metrics().unwrap());
    let served = prometheus(&app.metrics().unwrap());
    let host = host(lab, "node", "Prometheus", &source);
    let body = lab.agent().exec(&["cat", "/srv/metrics/node.txt"]).unwrap();
    let kept = prometheus(&String::from_utf8(body.stdout).unwrap());
    assert!(kept.len() > 200 && served.len() > 200, "{}", kept.len());
    arrives(&host, &source, "prom.", &kept);
    // And live, over HTTP.
    let live = dry_run(lab, &[&app.url(), "--prefix", "prom."]);
    let names = |values: &BTreeMap<String, String>| values.len();
    assert!(
        names(&live).abs_diff(names(&served)) < 20,
        "{} {}",
        names(&live),
        names(&served)
    );
}

#[test]
fn postgres_exporter_arrives_whole() {
    let lab = lab();
    let app = lab.start_app(App::PostgresExporter).unwrap();
    let body = app.metrics().unwrap();
    let source = kept(lab, "postgres.txt", &body);
    let served = prometheus(&body);
    assert!(served.len() > 100, "{}", served.len());
    arrives(
        &host(lab, "postgres", "Prometheus", &source),
        &source,
        "prom.",
        &served,
    );
}

#[test]
fn actuator_arrives_over_its_own_requests() {
    let lab = lab();
    let app = lab.start_app(App::Pyctuator).unwrap();
    let index: Value = serde_json::from_str(&app.metrics().unwrap()).unwrap();
    let names: Vec<&str> = index["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert!(names.len() > 5, "{names:?}");
    let measured = |name: &str| {
        let meter = app.get(&format!("/actuator/metrics/{name}")).unwrap();
        let meter: Value = serde_json::from_str(&meter).unwrap();
        meter["measurements"][0].clone()
    };
    let key = |name: &str| match measured(name)["statistic"].as_str().unwrap() {
        "COUNT" => format!("counter[actuator.{name}.count]"),
        "VALUE" => format!("gauge[actuator.{name}.value]"),
        other => panic!("{name} has {other}"),
    };
    let source = app.url();
    let host = host(lab, "pyctuator", "Actuator", &source);
    let items = host.discover(names.len());
    let expected: BTreeSet<String> = names.iter().map(|name| key(name)).collect();
    assert_eq!(items.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let since = now();
    let push = format!("courier.push[{source},,pyctuator,,,actuator.]");
    host.push_until(&source, &push, names.len() as u64);
    let samples = host.last_samples(&items, since);
    let clocks: BTreeSet<_> = samples
        .values()
        .map(|sample| (sample.clock, sample.ns))
        .collect();
    assert_eq!(clocks.len(), 1, "one push, one clock");
    // The process measures itself; the size of its program is what does not change by being asked for.
    let steady = ["memory.text", "memory.lib", "memory.dirty"];
    for name in steady {
        let (served, kept) = (
            measured(name)["value"].to_string(),
            &samples[&key(name)].value,
        );
        assert!(same(&served, kept), "{name}: {served} {kept}");
    }
}

/// pyctuator serves gauges alone: the other statistics, in the shape that Spring Boot gives them.
fn spring_stand_in() -> Behaviour {
    let meter = |name: &str, unit: &str, measurements: Value| {
        let body = json!({"name": name, "description": "d", "baseUnit": unit, "measurements": measurements, "availableTags": []});
        (format!("/actuator/metrics/{name}"), body.to_string())
    };
    let stat = |statistic: &str, value: f64| json!({"statistic": statistic, "value": value});
    let names = [
        "http.server.requests",
        "jobs.active",
        "order.size",
        "orders",
        "heap",
    ];
    routes(&[
        (
            "/actuator/metrics".to_owned(),
            json!({"names": names}).to_string(),
        ),
        meter(
            names[0],
            "seconds",
            json!([
                stat("COUNT", 3.0),
                stat("TOTAL_TIME", 0.5),
                stat("MAX", 0.25)
            ]),
        ),
        meter(
            names[1],
            "seconds",
            json!([stat("ACTIVE_TASKS", 2.0), stat("DURATION", 7.5)]),
        ),
        meter(
            names[2],
            "items",
            json!([stat("COUNT", 4.0), stat("TOTAL", 10.0), stat("MAX", 6.0)]),
        ),
        meter(names[3], "", json!([stat("COUNT", 9.0)])),
        meter(names[4], "bytes", json!([stat("VALUE", 1024.0)])),
    ])
}

#[test]
fn actuators_other_statistics_have_their_own_types() {
    let lab = lab();
    let stand_in = Stub::on(lab.pod().listen(0).unwrap(), spring_stand_in());
    let source = format!("http://127.0.0.1:{}/actuator/metrics", stand_in.port);
    let expected = [
        ("timer[actuator.http.server.requests.count]", "3.0"),
        ("timer[actuator.http.server.requests.total]", "0.5"),
        ("timer[actuator.http.server.requests.max]", "0.25"),
        ("timer[actuator.jobs.active.active]", "2.0"),
        ("timer[actuator.jobs.active.duration]", "7.5"),
        ("summary[actuator.order.size.count]", "4.0"),
        ("summary[actuator.order.size.total]", "10.0"),
        ("summary[actuator.order.size.max]", "6.0"),
        ("counter[actuator.orders.count]", "9.0"),
        ("gauge[actuator.heap.value]", "1024.0"),
    ];
    let expected: BTreeMap<String, String> = expected
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert_eq!(dry_run(lab, &[&source, "--prefix", "actuator."]), expected);
    assert_eq!(
        stand_in.connections(),
        1,
        "six requests over one kept connection"
    );

    // Discovery makes items of all that a type may have; those that are served are filled.
    let host = host(lab, "spring", "Actuator", &source);
    let mut items = host.discover(expected.len());
    items.retain(|key, _| expected.contains_key(key));
    assert_eq!(items.len(), expected.len(), "{items:?}");
    let since = now();
    let push = format!("courier.push[{source},,spring,,,actuator.]");
    host.push_until(&source, &push, expected.len() as u64);
    for (key, sample) in host.last_samples(&items, since) {
        let value = &expected[&key];
        assert!(
            same(value, &sample.value),
            "{key}: {value} {}",
            sample.value
        );
    }
}

#[test]
fn any_other_json_is_read_by_its_leaves() {
    let lab = lab();
    // The document that ContainerPilot 3 serves at /status.
    let status = json!({
        "Version": "3.8.0",
        "Jobs": [{"Name": "app", "Status": "healthy"}],
        "Watches": ["db"],
        "Services": [{"Name": "app", "Address": "10.0.0.5", "Port": 8000, "Status": "healthy"}],
        "a.b": {"on": true},
    });
    let stand_in = Stub::on(
        lab.pod().listen(0).unwrap(),
        http("200 OK", "application/json", status.to_string().as_bytes()),
    );
    let expected = [
        ("untyped[prom.Services.0.Port.value]", "8000"),
        (r"untyped[prom.a\.b.on.value]", "1"),
    ];
    let expected: BTreeMap<String, String> = expected
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let source = stand_in.url();
    assert_eq!(dry_run(lab, &[&source, "--prefix", "prom."]), expected);
    // The template for Prometheus has items for what has no type.
    let host = host(lab, "status", "Prometheus", &source);
    arrives(&host, &source, "prom.", &expected);
}

#[test]
fn openmetrics_gives_the_same_values_as_prometheus_text() {
    let lab = lab();
    let app = lab.start_app(App::PrometheusClient).unwrap();
    let rows = dry_run(lab, &[&app.url()]);
    let openmetrics = dry_run(lab, &["openmetrics"]);
    // Its types info and stateset are gauges in Prometheus text.
    let own = ["[shop_build_info{", "[shop_state{"];
    let named = |key: &String| match own.iter().any(|name| key.contains(name)) {
        true => key.replacen("gauge[", "untyped[", 1),
        false => key.clone(),
    };
    let keys: BTreeSet<String> = rows.keys().map(named).collect();
    assert_eq!(openmetrics.keys().cloned().collect::<BTreeSet<_>>(), keys);
    // The rest measures the process, which is at work.
    let shop: Vec<&String> = rows.keys().filter(|key| key.contains("shop_")).collect();
    assert!(shop.len() > 10, "{shop:?}");
    for key in shop {
        let other = &openmetrics[&named(key)];
        assert!(same(&rows[key], other), "{key}: {} {other}", rows[key]);
    }
    let mut asked = lab.pod().connect(App::PrometheusClient.port()).unwrap();
    asked
        .write_all(b"GET /metrics HTTP/1.0\r\nAccept: application/openmetrics-text\r\n\r\n")
        .unwrap();
    let mut body = String::new();
    asked.read_to_string(&mut body).unwrap();
    assert!(
        body.ends_with("# EOF\n"),
        "it serves OpenMetrics to who asks: {body}"
    );
    assert!(
        rows.keys().any(|key| key.starts_with("counter[")),
        "{rows:?}"
    );
    assert!(
        rows.keys().any(|key| key.starts_with("bucket[")),
        "{rows:?}"
    );
    assert!(!rows.keys().any(|key| key.contains("_created")), "{rows:?}");
}

#[test]
fn the_keys_of_the_program_before_work_with_a_template_of_its_form() {
    let lab = lab();
    let path = format!("{}/tests/enfield.xml", env!("CARGO_MANIFEST_DIR"));
    lab.api()
        .import_template(&std::fs::read_to_string(path).unwrap())
        .unwrap();
    let body = json!({"version": "3.1.3", "timers": {"set": {"count": 5, "p99": 2.5}}, "gauges": {"heap": {"value": 7}}});
    kept(lab, "old.json", &body.to_string());
    // This template has its own short intervals: everything happens by itself.
    let host = Host::new(
        lab,
        "enfield",
        &["Enfield"],
        &[("{$ENFIELD.SOURCE}", "old")],
    );
    let expected = [
        ("enfield[gauges.heap.value]", "7"),
        ("enfield[timers.set.count]", "5"),
        ("enfield[timers.set.p99]", "2.5"),
    ];
    wait_for(
        "values under the old keys",
        Duration::from_secs(150),
        || {
            lab.reload_config_cache().unwrap();
            let items = host.discovered();
            let held = |(key, value): &(&str, &str)| {
                items
                    .get(*key)
                    .is_some_and(|item| same(value, &item.last_value))
            };
            expected.iter().all(held).then_some(())
        },
    );
}
