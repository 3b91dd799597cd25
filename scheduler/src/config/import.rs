//! configuration.import: documents, and the rules that say what an import may do.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::kind::Export;
use super::kinds;
use super::numbers;
use super::snapshot::{Part, Snapshot};
use crate::zabbix::{Request, Version};

/// What an import may do with objects that are there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct May {
    /// Delete what is inside them and the document does not name.
    pub delete: bool,
    /// Write their own fields, beside what is inside them.
    pub update: bool,
    /// Write their discovery rules with what these make.
    pub update_rules: bool,
}

/// A call that imports objects of one part.
pub fn request(
    part: Part,
    export: &Export,
    objects: &[Value],
    beside: &[(&str, Value)],
    documents: &Snapshot,
    version: Version,
    may: May,
) -> Request {
    let section = match part.beside {
        "" => (export.section)(documents.version),
        beside => beside,
    };
    let mut sections = Map::new();
    sections.insert("version".into(), json!(documents.version.to_string()));
    // Value maps became parts of templates and hosts: an older document brings them along.
    if documents.version < Version(5, 4, 0)
        && version >= Version(5, 4, 0)
        && let Some(maps) = kinds::by_name("value_map").and_then(|kind| documents.of_kind(kind))
        && matches!(part.kind, "template" | "host")
    {
        let maps: Vec<&Value> = maps.values().collect();
        sections.insert("value_maps".into(), json!(maps));
    }
    // Template groups came apart from host groups: an older document brings the groups of its templates along.
    if documents.version < Version(6, 2, 0)
        && version >= Version(6, 2, 0)
        && part.kind == "template"
        && let Some(groups) = kinds::by_name("host_group").and_then(|kind| documents.of_kind(kind))
    {
        let named = objects
            .iter()
            .filter_map(|object| object["groups"].as_array());
        let named: Vec<&Value> = named.flatten().map(|group| &group["name"]).collect();
        let groups = groups
            .values()
            .filter(|group| named.contains(&&group["name"]));
        sections.insert("groups".into(), groups.cloned().collect());
    }
    // 6.0 looks for the groups of host prototypes among the groups that the document names elsewhere.
    if documents.version < Version(6, 2, 0)
        && version < Version(6, 2, 0)
        && matches!(part.kind, "template" | "host")
        && part.beside.is_empty()
        && let Some(groups) = kinds::by_name("host_group").and_then(|kind| documents.of_kind(kind))
    {
        let linked: HashSet<&str> = objects
            .iter()
            .flat_map(|object| list(object, "discovery_rules"))
            .flat_map(|rule| list(rule, "host_prototypes"))
            .flat_map(|prototype| list(prototype, "group_links"))
            .filter_map(|link| link["group"]["name"].as_str())
            .collect();
        let groups = groups
            .iter()
            .filter(|(name, _)| linked.contains(name.as_str()));
        let groups: Vec<&Value> = groups.map(|(_, group)| group).collect();
        sections.insert("groups".into(), json!(groups));
    }
    // Zabbix looks for the icons of a map among the images of the same document.
    if part.kind == "map"
        && let Some(images) = kinds::by_name("image").and_then(|kind| documents.of_kind(kind))
    {
        let text = json!(objects).to_string();
        let used = images
            .iter()
            .filter(|(name, _)| text.contains(&json!({"name": name}).to_string()));
        let used: Vec<&Value> = used.map(|(_, image)| image).collect();
        sections.insert("images".into(), json!(used));
    }
    let mut objects = objects.to_vec();
    if part.kind == "map" {
        numbers::through(&mut objects);
    }
    sections.insert(section.to_owned(), Value::Array(objects));
    for (section, object) in beside {
        let section = sections.entry(*section).or_insert_with(|| json!([]));
        if let Value::Array(objects) = section {
            objects.push(object.clone());
        }
    }
    let source = json!({"zabbix_export": sections}).to_string();
    Request::new(
        "configuration.import",
        json!({"format": "json", "source": source, "rules": rules(part, version, may)}),
    )
}

/// The elements of a list inside an object; none, where there is no such list.
pub fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    let list = object.get(field).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// What the import may create, update and, where asked, delete.
fn rules(part: Part, version: Version, may: May) -> Value {
    let all = json!({"createMissing": true, "updateExisting": true});
    let own = json!({"createMissing": true, "updateExisting": may.update});
    let inside =
        json!({"createMissing": true, "updateExisting": true, "deleteMissing": may.delete});
    let missing = json!({"createMissing": true, "deleteMissing": may.delete});
    let mut rules_of_discovery = inside.clone();
    rules_of_discovery["updateExisting"] = json!(may.update_rules);
    // Unlinking, 6.0 and 7.0 write the own fields too.
    let linked = json!({"createMissing": true, "deleteMissing": may.delete && may.update});
    let old = version < Version(5, 4, 0);
    let entities = || {
        let mut rules = json!({
            "discoveryRules": rules_of_discovery,
            "graphs": inside,
            "httptests": inside,
            "items": inside,
            "templateLinkage": linked,
            "triggers": inside,
        });
        if old {
            rules["applications"] = missing.clone();
            rules["valueMaps"] = all.clone();
        } else {
            rules["valueMaps"] = inside.clone();
        }
        rules
    };
    match (part.kind, part.beside) {
        (_, "triggers") => json!({"triggers": all}),
        (_, "graphs") => json!({"graphs": all}),
        ("template", _) => {
            let mut rules = entities();
            rules["templates"] = own.clone();
            let screens = if old {
                "templateScreens"
            } else {
                "templateDashboards"
            };
            rules[screens] = inside.clone();
            if version >= Version(6, 2, 0) {
                rules["template_groups"] = all.clone();
            }
            rules
        }
        ("host", _) => {
            let mut rules = entities();
            rules["hosts"] = own.clone();
            rules
        }
        // Host groups could not be updated by an import before they had UUIDs.
        ("host_group", _) if old => json!({"groups": {"createMissing": true}}),
        ("host_group", _) if version < Version(6, 2, 0) => json!({"groups": all}),
        ("host_group", _) => json!({"host_groups": all, "template_groups": all}),
        ("template_group", _) => json!({"template_groups": all}),
        ("value_map", _) => json!({"valueMaps": all}),
        ("media_type", _) => json!({"mediaTypes": all}),
        ("image", _) => json!({"images": all}),
        ("map", _) => json!({"maps": all}),
        _ => json!({"screens": all}),
    }
}
