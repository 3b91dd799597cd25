//! The templates import into every supported version of Zabbix, and serve one host together.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use lab::{Lab, Version};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["Dropwizard", "Prometheus", "Actuator"];

#[test]
fn the_templates_are_what_their_generator_writes() {
    let output = Command::new("python3")
        .args([folder().join("generate.py").as_os_str(), "--check".as_ref()])
        .output()
        .expect("python3 is needed: apt-get install python3");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn they_import_into_5_0_and_serve_one_host_together() {
    import_and_link(Version::V5_0);
}

#[test]
fn they_import_into_6_0_and_serve_one_host_together() {
    import_and_link(Version::V6_0);
}

#[test]
fn they_import_into_7_0_and_serve_one_host_together() {
    import_and_link(Version::V7_0);
}

fn import_and_link(version: Version) {
    let lab = Lab::builder()
        .zabbix(version)
        .without_agent()
        .start()
        .unwrap();
    let first = import(&lab);
    assert_eq!(first, import(&lab), "a second import changes something");

    let templates = NAMES.map(|name| format!("Concierge Courier {name}"));
    let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
    let host = lab
        .api()
        .create_host("all", &["Lab"], &templates, &[])
        .unwrap();
    let keys: Vec<String> = lab
        .api()
        .items(&host)
        .unwrap()
        .into_iter()
        .map(|item| item.key)
        .collect();
    for name in NAMES {
        let source = format!("{{$COURIER.{}.SOURCE}}", name.to_uppercase());
        for start in [
            format!("courier.discover[{source},"),
            format!("courier.push[{source},,{{HOST.HOST}},"),
            format!("courier.stats[{source},status"),
        ] {
            let found = keys.iter().filter(|key| key.starts_with(&start)).count();
            assert_eq!(found, 1, "{start} in {keys:?}");
        }
    }
    let count = |method: &str, params: Value| {
        let found = lab.api().call(method, params).unwrap();
        found.as_array().map_or(0, Vec::len)
    };
    let all = json!({"hostids": host, "output": ["name"]});
    assert_eq!(count("discoveryrule.get", all.clone()), 6 + 7 + 5);
    let triggers = json!({"hostids": host, "output": ["description"]});
    assert_eq!(count("trigger.get", triggers), NAMES.len() * 4);
    assert_eq!(count("graph.get", all.clone()), NAMES.len() * 2);
    let dashboards = if version == Version::V5_0 {
        count("templatescreen.get", all)
    } else {
        let own = json!({"templateids": template_ids(&lab), "output": ["name"]});
        count("templatedashboard.get", own)
    };
    assert_eq!(dashboards, NAMES.len() * 2);
}

/// Imports all templates and returns what the server then exports.
fn import(lab: &Lab) -> BTreeSet<String> {
    for name in NAMES {
        let file = format!("concierge_courier_{}.xml", name.to_lowercase());
        let xml = fs::read_to_string(folder().join(file)).unwrap();
        lab.api().import_template(&xml).unwrap();
    }
    let params = json!({"format": "json", "options": {"templates": template_ids(lab)}});
    let export = lab.api().call("configuration.export", params).unwrap();
    let mut export: Value = serde_json::from_str(export.as_str().unwrap()).unwrap();
    let export = export["zabbix_export"].as_object_mut().unwrap();
    // When it was exported.
    export.remove("date");
    let mut leaves = BTreeSet::new();
    flatten("", &Value::Object(export.clone()), &mut leaves);
    leaves
}

/// Every leaf with its path; what stands in no order of its own (a widget's fields) is named by its content.
fn flatten(path: &str, value: &Value, leaves: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "fields" {
                    for field in member.as_array().into_iter().flatten() {
                        leaves.insert(format!("{path}.{field}"));
                    }
                } else {
                    flatten(&format!("{path}.{name}"), member, leaves);
                }
            }
        }
        Value::Array(elements) => {
            for (number, element) in elements.iter().enumerate() {
                flatten(&format!("{path}[{number}]"), element, leaves);
            }
        }
        leaf => {
            leaves.insert(format!("{path}={leaf}"));
        }
    }
}

fn template_ids(lab: &Lab) -> Vec<String> {
    let hosts = NAMES.map(|name| format!("Concierge Courier {name}"));
    let params = json!({"filter": {"host": hosts}, "output": ["templateid"]});
    let found = lab.api().call("template.get", params).unwrap();
    let rows = found.as_array().unwrap().iter();
    rows.map(|row| row["templateid"].as_str().unwrap().to_owned())
        .collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("templates")
}
