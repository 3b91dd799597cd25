//! The whole configuration of one server, in the normal form.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kind::Kind;
use super::normal::label;
use crate::zabbix::Version;

/// Objects by name.
pub type Objects = BTreeMap<String, Value>;

/// A kind's own objects, or one of the sections beside them (triggers over several hosts, graphs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The kind's name.
    pub kind: &'static str,
    /// The section beside its objects; empty for the objects themselves.
    pub beside: &'static str,
}

/// What one server holds, or one folder.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The branch of the server: 6.0.
    pub version: Version,
    /// Every part that was read, also the empty ones.
    pub parts: BTreeMap<Part, Objects>,
}

impl Snapshot {
    /// An empty one.
    pub fn new(version: Version) -> Self {
        Self {
            version: version.branch(),
            parts: BTreeMap::new(),
        }
    }

    /// The objects of a part.
    pub fn objects(&self, part: Part) -> Option<&Objects> {
        self.parts.get(&part)
    }

    /// The objects of a kind.
    pub fn of_kind(&self, kind: &Kind) -> Option<&Objects> {
        self.objects(kind.part())
    }

    /// Takes objects, each with its part and name.
    pub fn extend(&mut self, objects: Vec<(Part, String, Value)>) {
        for (part, name, object) in objects {
            self.insert(part, name, object);
        }
    }

    /// Takes an object; a second one of the same name gets a number.
    pub fn insert(&mut self, part: Part, name: String, object: Value) {
        let objects = self.parts.entry(part).or_default();
        // Chunks of an export repeat what lies across them.
        if objects.get(&name) == Some(&object) {
            return;
        }
        let mut unique = name.clone();
        let mut number = 2;
        while objects.contains_key(&unique) {
            unique = format!("{name} #{number}");
            number += 1;
        }
        objects.insert(unique, object);
    }

    /// The number of all objects.
    pub fn len(&self) -> usize {
        self.parts.values().map(BTreeMap::len).sum()
    }
}

impl Kind {
    /// The part of the kind's own objects.
    pub fn part(&self) -> Part {
        Part {
            kind: self.name,
            beside: "",
        }
    }

    /// The parts of the kind: its own objects, then what lies beside them.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = vec![self.part()];
        if let super::kind::Form::Export(export) = &self.form {
            parts.extend(export.beside.iter().map(|beside| Part {
                kind: self.name,
                beside,
            }));
        }
        parts
    }
}

/// What names an object of a section beside.
pub fn name_beside(object: &Value) -> String {
    let mut name = label(object);
    let items = object.get("graph_items").and_then(Value::as_array);
    let mut hosts: Vec<&str> = items
        .into_iter()
        .flatten()
        .filter_map(|item| item["item"]["host"].as_str())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    if !hosts.is_empty() {
        name = format!("{}: {name}", hosts.join(", "));
    }
    match object.get("recovery_expression").and_then(Value::as_str) {
        Some(recovery) => format!("{name}; {recovery}"),
        None => name,
    }
}
