//! What an object needs of its own kind: a child its parents, a template the templates that it is linked to.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::import::list;
use super::kind::{Form, Kind};
use super::names::{each_reference, text};
use crate::zabbix::Version;

/// The names of the objects of its own kind that `object` refers to.
pub fn on(kind: &Kind, object: &Value, documents: Version) -> Vec<String> {
    let mut names = Vec::new();
    match &kind.form {
        Form::Export(_) if kind.name == "map" => submaps(object, &mut names),
        Form::Export(_) => {
            let linked = object.get("templates").and_then(Value::as_array);
            let linked = linked.into_iter().flatten();
            names.extend(linked.filter_map(|template| Some(template["name"].as_str()?.to_owned())));
            host_prototypes(object, &mut names);
            dependencies(object, documents, &mut names);
        }
        _ => {
            // A reference is looked at, not changed; the walk over references needs a copy to do either.
            each_reference(kind, &mut object.clone(), &mut |reference, value| {
                if reference.to.name == kind.target().name && !value.is_null() {
                    names.push(text(value));
                }
            });
        }
    }
    names
}

/// The templates and hosts that a trigger or graph beside them needs.
pub fn hosts(object: &Value, documents: Version) -> Vec<String> {
    let mut names = lies_on(object, documents);
    dependencies(object, documents, &mut names);
    let limits = [&object["ymin_item_1"], &object["ymax_item_1"]].into_iter();
    names.extend(limits.filter_map(|item| Some(item["host"].as_str()?.to_owned())));
    names
}

/// The templates and hosts that it lies on: those whose items it watches or shows.
pub fn lies_on(object: &Value, documents: Version) -> Vec<String> {
    let mut names = Vec::new();
    for field in ["expression", "recovery_expression"] {
        if let Some(expression) = object.get(field).and_then(Value::as_str) {
            expressions(expression, documents, &mut names);
        }
    }
    let items = list(object, "graph_items").iter();
    names.extend(items.filter_map(|item| Some(item["item"]["host"].as_str()?.to_owned())));
    names
}

/// The hosts that discovery makes are linked to templates.
fn host_prototypes(object: &Value, names: &mut Vec<String>) {
    let linked = list(object, "discovery_rules")
        .iter()
        .flat_map(|rule| list(rule, "host_prototypes"))
        .flat_map(|prototype| list(prototype, "templates"));
    names.extend(linked.filter_map(|template| Some(template["name"].as_str()?.to_owned())));
}

/// Triggers may depend on triggers of other templates and hosts, which their expressions name.
fn dependencies(value: &Value, documents: Version, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                if field == "dependencies" {
                    let each = inner.as_array().into_iter().flatten();
                    for expression in each.filter_map(|trigger| trigger["expression"].as_str()) {
                        expressions(expression, documents, names);
                    }
                } else {
                    dependencies(inner, documents, names);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                dependencies(element, documents, names);
            }
        }
        _ => {}
    }
}

/// The hosts that an expression names.
fn expressions(expression: &str, documents: Version, names: &mut Vec<String>) {
    // `{$LIMIT:"sda"}` is a macro with a context, and no host.
    static OLD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{([^{}:$#][^{}:]*):"));
    static NEW: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(/([^/]+)/"));
    let hosts = if documents < Version(5, 4, 0) {
        &OLD
    } else {
        &NEW
    };
    let found = hosts.captures_iter(expression);
    names.extend(found.map(|capture| capture[1].to_owned()));
}

fn submaps(map: &Value, names: &mut Vec<String>) {
    let elements = map.get("selements").and_then(Value::as_array);
    for element in elements.into_iter().flatten() {
        if element["elementtype"] == "1" {
            let inner = match &element["elements"] {
                Value::Array(inner) => inner.clone(),
                inner => vec![inner.clone()],
            };
            names.extend(
                inner
                    .iter()
                    .filter_map(|map| Some(map["name"].as_str()?.to_owned())),
            );
        }
    }
}

fn pattern(text: &str) -> Regex {
    // The patterns are constants of this file, and its tests compile each.
    Regex::new(text).expect("a valid constant pattern")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::kinds;

    #[test]
    fn a_template_needs_what_it_links_and_what_its_triggers_depend_on() {
        let kind = kinds::by_name("template").unwrap();
        let template = |expression: &str| {
            json!({
                "template": "t",
                "templates": [{"name": "linked"}],
                "items": [{"key": "a", "triggers": [{"dependencies": [{"name": "n", "expression": expression}]}]}],
            })
        };
        let new = template("last(/other host/agent.ping)=0 and min(/third/x,5m)>1");
        assert_eq!(
            on(kind, &new, Version(6, 0, 0)),
            ["linked", "other host", "third"]
        );
        let old = template("{other host:agent.ping.last()}=0");
        assert_eq!(on(kind, &old, Version(5, 0, 0)), ["linked", "other host"]);
    }

    #[test]
    fn a_macro_with_a_context_is_no_host() {
        let trigger = json!({"expression": "{t:a.last()}>{$LIMIT:\"sda\"} or {t:b.last()}=0"});
        assert_eq!(hosts(&trigger, Version(5, 0, 0)), ["t", "t"]);
    }

    #[test]
    fn a_template_needs_what_its_host_prototypes_are_linked_to() {
        let kind = kinds::by_name("template").unwrap();
        let template = json!({"template": "t", "discovery_rules": [
            {"key": "r", "host_prototypes": [{"host": "{#H}", "templates": [{"name": "of the found"}]}]}]});
        assert_eq!(on(kind, &template, Version(6, 0, 0)), ["of the found"]);
    }

    #[test]
    fn a_map_needs_the_maps_inside() {
        let kind = kinds::by_name("map").unwrap();
        let map = json!({"selements": [
            {"elementtype": "1", "elements": [{"name": "inner"}]},
            {"elementtype": "0", "elements": [{"host": "h"}]},
        ]});
        assert_eq!(on(kind, &map, Version(6, 0, 0)), ["inner"]);
    }
}
