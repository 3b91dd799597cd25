//! Secrets that configuration.export of 7.0 keeps to itself: asked for by the other methods, and put where older exports
//! have them. Most are macros, which belong into a backup, and the others are to be listed as left out. Without them 7.0
//! does not even take its own export back.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::kind::Kind;
use super::kinds;
use super::snapshot::Snapshot;
use crate::zabbix::{Request, Version};

/// The types of items that have a password: simple checks, database monitor, SSH, telnet, JMX agent, HTTP agent.
const TYPES: [u8; 6] = [3, 11, 13, 14, 16, 19];

/// The fields, which have the same names in answers and exports.
const FIELDS: [&str; 5] = [
    "password",
    "privatekey",
    "ssl_key_password",
    "http_password",
    "ipmi_password",
];

/// The calls that answer with what the exports of `kinds` lack.
pub fn requests(kinds: &[&'static Kind], version: Version) -> Vec<Request> {
    let mut requests = Vec::new();
    if version < Version(7, 0, 0) {
        return requests;
    }
    let has = |name: &str| kinds.iter().any(|kind| kind.name == name);
    if has("template") || has("host") {
        for api in ["item", "itemprototype", "discoveryrule"] {
            requests.push(Request::new(
                format!("{api}.get"),
                json!({
                    "output": ["key_", "password", "privatekey", "ssl_key_password"],
                    "selectHosts": ["host"], "inherited": false, "filter": {"type": TYPES},
                }),
            ));
        }
        requests.push(Request::new(
            "httptest.get",
            json!({"output": ["name", "http_password", "ssl_key_password"], "selectHosts": ["host"], "inherited": false}),
        ));
    }
    if has("host") {
        requests.push(Request::new(
            "host.get",
            json!({"output": ["host", "ipmi_password"]}),
        ));
    }
    if has("media_type") {
        requests.push(Request::new(
            "mediatype.get",
            json!({"output": ["name", "passwd"]}),
        ));
    }
    requests
}

/// What one call of [`requests`] answered, put where it belongs.
pub fn fill(snapshot: &mut Snapshot, request: &Request, answer: &Value) {
    let answers = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut known: HashMap<(&str, &str), &Value> = HashMap::new();
    for answer in answers {
        let text = |field: &str| answer[field].as_str();
        let owner = answer["hosts"][0]["host"].as_str();
        let owner = owner.or(text("host")).unwrap_or_default();
        let name = text("key_").or(text("name")).unwrap_or_default();
        known.insert((owner, name), answer);
    }
    if request.method == "mediatype.get" {
        each(snapshot, "media_type", &mut |name, media_type| {
            let secret = known
                .get(&("", name))
                .and_then(|known| known["passwd"].as_str());
            if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
                media_type["password"] = json!(secret);
            }
        });
        return;
    }
    for kind in ["template", "host"] {
        each(snapshot, kind, &mut |host, object| {
            let give = |object: &mut Value, name: &str| {
                let name = object[name].as_str().unwrap_or_default().to_owned();
                if let Some(known) = known.get(&(host, name.as_str())) {
                    copy(object, known);
                }
            };
            match request.method.as_str() {
                "host.get" if kind == "host" => give(object, ""),
                "host.get" => {}
                "httptest.get" => {
                    list(object, "httptests").for_each(|scenario| give(scenario, "name"));
                }
                _ => {
                    list(object, "items").for_each(|item| give(item, "key"));
                    for rule in list(object, "discovery_rules") {
                        give(rule, "key");
                        list(rule, "item_prototypes").for_each(|prototype| give(prototype, "key"));
                    }
                }
            }
        });
    }
}

fn copy(object: &mut Value, known: &Value) {
    for field in FIELDS {
        let secret = known[field].as_str().filter(|secret| !secret.is_empty());
        if let Some(secret) = secret {
            object[field] = json!(secret);
        }
    }
}

fn each(snapshot: &mut Snapshot, kind: &str, act: &mut dyn FnMut(&str, &mut Value)) {
    let part = kinds::by_name(kind).map(Kind::part);
    let objects = part.and_then(|part| snapshot.parts.get_mut(&part));
    for (name, object) in objects.into_iter().flatten() {
        act(name, object);
    }
}

fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_where_older_exports_have_them() {
        let mut snapshot = Snapshot::new(Version(7, 0, 0));
        let part = |kind| kinds::by_name(kind).unwrap().part();
        let item = |key: &str| json!({"key": key});
        snapshot.insert(
            part("host"),
            "h".into(),
            json!({"host": "h", "items": [item("a"), item("b")], "httptests": [{"name": "w"}],
                "discovery_rules": [{"key": "r", "item_prototypes": [item("p")]}]}),
        );
        snapshot.insert(part("media_type"), "m".into(), json!({"name": "m"}));
        let of = |field: &str, name: &str, secret: &str, value: &str| json!([{field: name, secret: value, "ssl_key_password": "", "hosts": [{"host": "h"}]}]);
        for (method, answer) in [
            ("item.get", of("key_", "a", "password", "1")),
            ("itemprototype.get", of("key_", "p", "password", "2")),
            ("discoveryrule.get", of("key_", "r", "password", "3")),
            ("httptest.get", of("name", "w", "http_password", "4")),
            ("host.get", json!([{"host": "h", "ipmi_password": "5"}])),
            ("mediatype.get", json!([{"name": "m", "passwd": "6"}])),
        ] {
            fill(&mut snapshot, &Request::new(method, json!({})), &answer);
        }
        assert_eq!(
            snapshot.parts[&part("host")]["h"],
            json!({"host": "h", "ipmi_password": "5",
                "items": [{"key": "a", "password": "1"}, {"key": "b"}],
                "httptests": [{"name": "w", "http_password": "4"}],
                "discovery_rules": [{"key": "r", "password": "3", "item_prototypes": [{"key": "p", "password": "2"}]}]})
        );
        assert_eq!(snapshot.parts[&part("media_type")]["m"]["password"], "6");
    }
}
