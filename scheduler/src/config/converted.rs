//! What became of exported objects of an older version: Zabbix converts them as it imports them, and what they look like
//! afterwards cannot be foretold. Digests of both forms tell a later run that there is nothing left to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::sha256;
use super::normal::label;
use super::snapshot::{Part, Snapshot};

/// Digests of objects before and after their conversion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Converted {
    /// By part and name: the backup's object, the server's object.
    objects: BTreeMap<String, BTreeMap<String, (String, String)>>,
}

impl Converted {
    /// Whether `object` was imported before, and the server still has what it became.
    pub fn holds(&self, part: Part, name: &str, object: &Value, observed: &Snapshot) -> bool {
        let known = self.objects.get(&key(part)).and_then(|part| part.get(name));
        known.is_some_and(|(before, after)| {
            *before == digest(object)
                && Some(after) == became(part, name, object, observed).as_ref()
        })
    }

    /// Remembers what `object` has become.
    pub fn remember(&mut self, part: Part, name: &str, object: &Value, observed: &Snapshot) {
        if let Some(after) = became(part, name, object, observed) {
            let names = self.objects.entry(key(part)).or_default();
            names.insert(name.to_owned(), (digest(object), after));
        }
    }
}

/// The digest of what the server has under the name; an expression is converted with its trigger and is no name across
/// versions, so that triggers and graphs are found by what people call them.
fn became(part: Part, name: &str, object: &Value, observed: &Snapshot) -> Option<String> {
    let objects = observed.objects(part)?;
    if part.beside.is_empty() {
        return objects.get(name).map(digest);
    }
    let called = |object: &Value| {
        object["name"]
            .as_str()
            .map_or_else(|| label(object), str::to_owned)
    };
    let mut same: Vec<String> = objects
        .values()
        .filter(|other| called(other) == called(object))
        .map(digest)
        .collect();
    same.sort_unstable();
    (!same.is_empty()).then(|| sha256(same.concat().as_bytes()))
}

fn key(part: Part) -> String {
    match part.beside {
        "" => part.kind.to_owned(),
        beside => format!("{}/{beside}", part.kind),
    }
}

fn digest(object: &Value) -> String {
    sha256(object.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::kinds;
    use crate::zabbix::Version;

    #[test]
    fn a_change_on_either_side_is_seen() {
        let part = kinds::by_name("template").unwrap().part();
        let old = json!({"template": "t", "applications": [{"name": "a"}]});
        let server = |tag: &str| {
            let mut snapshot = Snapshot::new(Version(6, 0, 0));
            snapshot.insert(
                part,
                "t".into(),
                json!({"template": "t", "tags": [{"tag": tag}]}),
            );
            snapshot
        };
        let mut converted = Converted::default();
        assert!(!converted.holds(part, "t", &old, &server("a")));
        converted.remember(part, "t", &old, &server("a"));
        assert!(converted.holds(part, "t", &old, &server("a")));
        assert!(!converted.holds(part, "t", &old, &server("b")));
        assert!(!converted.holds(part, "t", &json!({"template": "t"}), &server("a")));
    }
}
