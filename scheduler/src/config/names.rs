//! Which name stands for which id on one server, in both directions.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::kind::{Kind, Reference};
use super::path;
use super::target::{Naming, Target};
use super::tree::{self, Node};
use crate::zabbix::{Client, Error, Version, dialect};

/// The flag of what low-level discovery made.
const DISCOVERED: &str = "4";

/// Ids and names of one server.
#[derive(Debug, Default)]
pub struct Names {
    by_id: HashMap<(&'static str, String), Value>,
    by_name: HashMap<(&'static str, String), Vec<String>>,
    discovered: HashSet<(&'static str, String)>,
}

impl Names {
    /// Forgets what was known of `target` and takes what its get answered.
    pub fn learn(&mut self, target: &'static Target, answer: &Value, version: Version) {
        if target.is_listed_whole() {
            self.forget(target);
        }
        let objects = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Naming::InTree = target.naming {
            let mut nodes: Vec<Node> = objects
                .iter()
                .filter_map(|object| tree::node(object, super::normal::id(object.get(target.id)?)?))
                .collect();
            // Of two that nothing tells apart, the older comes first.
            nodes.sort_by_cached_key(|node| (node.key.len(), node.key.clone()));
            for (path, node) in tree::paths(&nodes).into_iter().zip(nodes) {
                self.add(target, node.key, json!(path));
            }
            return;
        }
        for object in objects {
            let id = object.get(target.id).and_then(super::normal::id);
            if let (Some(id), Some(name)) = (id, self.name_of(target, object, version)) {
                if object["flags"] == DISCOVERED {
                    self.discovered.insert((target.name, id.clone()));
                }
                self.add(target, id, name);
            }
        }
    }

    /// Takes one id and its name.
    pub fn add(&mut self, target: &Target, id: String, name: Value) {
        let ids = self
            .by_name
            .entry((target.name, name.to_string()))
            .or_default();
        if !ids.contains(&id) {
            ids.push(id.clone());
        }
        self.by_id.insert((target.name, id), name);
    }

    /// The name behind an id.
    pub fn name(&self, target: &Target, id: &str) -> Option<&Value> {
        self.by_id.get(&(target.name, id.to_owned()))
    }

    /// The id behind a name; several where the name is not unique.
    pub fn ids(&self, target: &Target, name: &Value) -> &[String] {
        self.by_name
            .get(&(target.name, name.to_string()))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The ids of all of them, in the order of their names.
    pub fn all_ids(&self, target: &Target) -> Vec<&str> {
        let mut named: Vec<(String, &str)> = self
            .by_id
            .iter()
            .filter(|((kind, _), _)| *kind == target.name)
            .map(|((_, id), name)| (text(name), id.as_str()))
            .collect();
        named.sort_unstable();
        named.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether Zabbix's own low-level discovery made it, and keeps it as its prototype says.
    pub fn is_discovered(&self, target: &Target, id: &str) -> bool {
        self.discovered.contains(&(target.name, id.to_owned()))
    }

    fn forget(&mut self, target: &Target) {
        self.by_id.retain(|(kind, _), _| *kind != target.name);
        self.by_name.retain(|(kind, _), _| *kind != target.name);
        self.discovered.retain(|(kind, _)| *kind != target.name);
    }

    fn name_of(&self, target: &Target, object: &Value, version: Version) -> Option<Value> {
        match target.naming {
            Naming::Field(field) => object.get(field(version)).cloned(),
            Naming::InMenu => in_menu(object, version).map(Value::String),
            Naming::OnHost(field) => {
                let hosts = object.get("hosts")?.as_array()?;
                let host = hosts
                    .iter()
                    .filter_map(|host| host["host"].as_str())
                    .min()?;
                Some(json!({"host": host, field: object.get(field)?}))
            }
            Naming::Check => {
                let rule = object.get("druleid")?.as_str()?;
                let rule = self.name(&super::kinds::DISCOVERY_RULE, rule)?;
                let part = |field| object.get(field).cloned().unwrap_or(json!(""));
                Some(
                    json!({"drule": rule, "type": part("type"), "key_": part("key_"), "ports": part("ports")}),
                )
            }
            // A path needs the whole tree.
            Naming::InTree | Naming::Single => None,
        }
    }
}

/// Reads the names of every target that can be listed whole.
pub async fn list(client: &Client, targets: &[&'static Target]) -> Result<Names, Error> {
    let version = client.version();
    let targets: Vec<_> = targets
        .iter()
        .filter(|target| target.since <= version && target.is_listed_whole())
        .collect();
    let requests: Vec<_> = targets
        .iter()
        .map(|target| target.by_ids(version, None))
        .collect();
    let mut names = Names::default();
    for (target, answer) in targets.iter().zip(client.call_all(&requests).await) {
        names.learn(target, &answer?, version);
    }
    Ok(names)
}

/// Looks up the ids that the objects' references hold, for targets that are too many to list.
pub async fn look_up_ids(
    client: &Client,
    names: &mut Names,
    objects: &mut [(&'static Kind, Value)],
) -> Result<(), Error> {
    let mut wanted: HashMap<&'static str, (&'static Target, HashSet<String>)> = HashMap::new();
    for (kind, object) in objects {
        each_reference(kind, object, &mut |reference, value| {
            if !reference.to.is_listed_whole()
                && let Some(id) = super::normal::id(value).filter(|id| id != "0")
            {
                let entry = wanted.entry(reference.to.name);
                entry.or_insert((reference.to, HashSet::new())).1.insert(id);
            }
        });
    }
    let version = client.version();
    for (target, ids) in wanted.into_values() {
        let ids: Vec<String> = ids.into_iter().collect();
        let answer = client.call(&target.by_ids(version, Some(&ids))).await?;
        names.learn(target, &answer, version);
    }
    Ok(())
}

/// Looks up the names that the objects' references hold, for targets that are too many to list.
pub async fn look_up_names(
    client: &Client,
    names: &mut Names,
    kind: &'static Kind,
    objects: &mut [Value],
) -> Result<(), Error> {
    let mut wanted: HashMap<&'static str, (&'static Target, Vec<Value>)> = HashMap::new();
    for object in objects {
        each_reference(kind, object, &mut |reference, value| {
            if value.is_object() && !reference.to.is_listed_whole() {
                let entry = wanted.entry(reference.to.name);
                entry
                    .or_insert((reference.to, Vec::new()))
                    .1
                    .push(value.clone());
            }
        });
    }
    for (target, wanted) in wanted.into_values() {
        if let Some(request) = target.by_names(&wanted) {
            names.learn(target, &client.call(&request).await?, client.version());
        }
    }
    Ok(())
}

/// Calls `act` with every reference that `object` holds, and the value in its place.
pub fn each_reference(
    kind: &Kind,
    object: &mut Value,
    act: &mut dyn FnMut(&Reference, &mut Value),
) {
    let root = roots(object);
    for reference in kind.references {
        path::visit(object, reference.path, &mut |parent, field| {
            let applies = reference.when.is_none_or(|when| when.holds(&root, parent));
            if applies && let Some(value) = parent.get_mut(field) {
                act(reference, value);
            }
        });
    }
}

/// The object's own scalar fields, which conditions may look at while the object itself is being changed.
pub fn roots(object: &Value) -> Value {
    let fields = object.as_object().into_iter().flatten();
    let scalars: Map<String, Value> = fields
        .filter(|(_, value)| value.is_string())
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    Value::Object(scalars)
}

/// The name of a script: where two may share it, with its place in the menu.
pub fn in_menu(script: &Value, version: Version) -> Option<String> {
    let name = script["name"].as_str()?;
    let path = script["menu_path"].as_str().unwrap_or_default();
    Some(match path.trim_matches('/') {
        path if !path.is_empty() && dialect::scripts_by_menu_path(version) => {
            format!("{path}/{name}")
        }
        _ => name.to_owned(),
    })
}

/// A name as people read it.
pub fn text(name: &Value) -> String {
    match name {
        Value::String(name) => name.clone(),
        Value::Object(parts) => {
            let parts: Vec<String> = ["drule", "host"]
                .into_iter()
                .chain(
                    parts
                        .keys()
                        .map(String::as_str)
                        .filter(|part| !["drule", "host"].contains(part)),
                )
                .filter_map(|part| parts.get(part).map(text))
                .filter(|part| !part.is_empty())
                .collect();
            parts.join(": ")
        }
        other => other.to_string(),
    }
}
