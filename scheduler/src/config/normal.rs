//! The normal form of an object: no ids, no states, nothing that depends on the order in which things were made.

use serde_json::{Value, json};
use thiserror::Error;

use super::kind::{Form, Kind};
use super::names::{self, Names, each_reference, roots};
use super::path;
use super::secrets::FIELDS;
use super::target::Target;

/// A reference that leads nowhere.
#[derive(Debug, Error, PartialEq)]
pub enum Dangling {
    /// An id without a name.
    #[error("its {field} names the {target} with id {id}, which does not exist or may not be read")]
    Id {
        /// The reference's path.
        field: &'static str,
        /// What it should be.
        target: &'static str,
        /// The id.
        id: String,
    },
    /// A name without an id.
    #[error("its {field} names the {target} \"{name}\", which the server does not have")]
    Name {
        /// The reference's path.
        field: &'static str,
        /// What it should be.
        target: &'static str,
        /// The name.
        name: String,
    },
    /// A name with several ids.
    #[error("its {field} names the {target} \"{name}\", of which the server has several")]
    Ambiguous {
        /// The reference's path.
        field: &'static str,
        /// What it should be.
        target: &'static str,
        /// The name.
        name: String,
    },
}

/// Arrays whose order means something; all others are sets.
const ORDERED: &[&str] = &[
    "preprocessing",
    "steps",
    "step",
    "overrides",
    "pages",
    "mappings",
    "headers",
    "query_fields",
    "posts",
    "selements",
    "links",
    "shapes",
    "lines",
    "urls",
];

/// Arrays whose order means something where they hold texts: the parameters of a preprocessing step, unlike a webhook's.
const ORDERED_TEXTS: &[&str] = &["parameters", "sendto"];

/// From what a server answered to the form that is kept: names for ids, no states, sets sorted.
pub fn normalise(kind: &Kind, mut object: Value, names: &Names) -> (Value, Vec<Dangling>) {
    let mut dangling = Vec::new();
    if let Form::Objects(api) | Form::Aspect(api) | Form::Setting(api) = &kind.form
        && let Some(inward) = api.inward
    {
        inward(&mut object);
    }
    each_reference(kind, &mut object, &mut |reference, value| {
        let Some(id) = id(value) else { return };
        if id == "0" || id.is_empty() {
            *value = Value::Null;
        } else if let Some(name) = names.name(reference.to, &id) {
            *value = name.clone();
        } else {
            dangling.push(Dangling::Id {
                field: reference.path,
                target: reference.to.name,
                id,
            });
        }
    });
    keep_only(kind, &mut object);
    arrange(&mut object);
    omit(&mut object, kind.omit);
    if let Some(fields) = object.as_object_mut() {
        fields.remove(kind.target().id);
    }
    drop_automatic_ids(&mut object);
    sort(&mut object);
    (object, dangling)
}

/// From the form that is kept to what this server takes: its own ids for names.
pub fn localise(kind: &Kind, mut object: Value, names: &Names) -> Result<Value, Dangling> {
    let mut dangling = None;
    each_reference(kind, &mut object, &mut |reference, value| {
        if value.is_null() {
            *value = json!("0");
            return;
        }
        match id_of(names, reference.path, reference.to, value) {
            Ok(id) => *value = json!(id),
            Err(error) => {
                dangling.get_or_insert(error);
            }
        }
    });
    dangling.map_or(Ok(object), Err)
}

/// The id that the name in a field stands for.
pub fn id_of<'a>(
    names: &'a Names,
    field: &'static str,
    target: &Target,
    name: &Value,
) -> Result<&'a String, Dangling> {
    let (target, ids, name) = (target.name, names.ids(target, name), names::text(name));
    match ids {
        [id] => Ok(id),
        [] => Err(Dangling::Name {
            field,
            target,
            name,
        }),
        _ => Err(Dangling::Ambiguous {
            field,
            target,
            name,
        }),
    }
}

/// Sorts every array that is a set.
pub fn sort(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                sort(inner);
                if let Value::Array(elements) = inner
                    && field == "graph_items"
                {
                    // Zabbix answers those with the same number in any order.
                    elements.sort_by_cached_key(|item| (sort_order(item), item.to_string()));
                } else if let Value::Array(elements) = inner
                    && !ORDERED.contains(&field.as_str())
                    && !(ORDERED_TEXTS.contains(&field.as_str())
                        && elements.iter().all(Value::is_string))
                {
                    elements.sort_by_cached_key(|element| (label(element), element.to_string()));
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(sort),
        _ => {}
    }
}

/// The place of an item in its graph; 0 is left out of an export.
fn sort_order(graph_item: &Value) -> u32 {
    let number = graph_item.get("sortorder").and_then(Value::as_str);
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// What tells an element of a set from the others, as people read it.
pub fn label(element: &Value) -> String {
    let part = |field: &str| element.get(field).and_then(Value::as_str);
    for field in ["key", "macro", "username", "alias", "template", "host"] {
        if let Some(label) = part(field) {
            return label.to_owned();
        }
    }
    match (part("name"), part("expression"), part("tag")) {
        (Some(name), Some(expression), _) => format!("{name}: {expression}"),
        (Some(name), None, _) => name.to_owned(),
        (None, None, Some(tag)) => format!("{tag}: {}", part("value").unwrap_or_default()),
        _ => match element {
            Value::String(text) => text.clone(),
            // Secrets may be left out, and must not tell elements apart.
            other => without_secrets(other).to_string(),
        },
    }
}

fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let open = fields
                .iter()
                .filter(|(field, _)| !FIELDS.contains(&field.as_str()));
            open.map(|(field, value)| (field.clone(), without_secrets(value)))
                .collect()
        }
        Value::Array(elements) => elements.iter().map(without_secrets).collect(),
        other => other.clone(),
    }
}

/// An id is a string nearly everywhere, and a number in a role's rules.
pub fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Removes the fields that Zabbix answers but takes only beside certain others.
pub fn keep_only(kind: &Kind, object: &mut Value) {
    let root = roots(object);
    for only in kind.only {
        path::visit(object, only.path, &mut |parent, field| {
            if !only.when.holds(&root, parent) {
                parent.remove(field);
            }
        });
    }
}

/// Puts elements that carry their place in the list into that place: get answers them in any order.
fn arrange(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(arrange),
        Value::Array(elements) => {
            let place = |element: &Value| element["sortorder"].as_str()?.parse::<u32>().ok();
            if elements.iter().all(|element| place(element).is_some()) {
                elements.sort_by_key(place);
            }
        }
        _ => {}
    }
}

/// Removes ids and states, at any depth.
pub fn omit(value: &mut Value, fields: &[&str]) {
    match value {
        Value::Object(object) => {
            object.retain(|field, _| !fields.contains(&field.as_str()));
            object.values_mut().for_each(|inner| omit(inner, fields));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|inner| omit(inner, fields)),
        _ => {}
    }
}

/// Zabbix numbers the conditions of a filter by itself unless its formula is the user's own.
fn drop_automatic_ids(object: &mut Value) {
    let Some(filter) = object.get_mut("filter").and_then(Value::as_object_mut) else {
        return;
    };
    if filter.get("evaltype").and_then(Value::as_str) == Some("3") {
        return;
    }
    let conditions = filter.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        if let Some(fields) = condition.as_object_mut() {
            fields.remove("formulaid");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_preprocessing_keep_their_order() {
        let mut item = json!({"preprocessing": [
            {"type": "PROMETHEUS_PATTERN", "parameters": ["requests{code=\"200\"}", "function", "avg"]}]});
        let before = item.clone();
        sort(&mut item);
        assert_eq!(item, before);
        let mut webhook = json!({"parameters": [{"name": "b"}, {"name": "a"}]});
        sort(&mut webhook);
        assert_eq!(
            webhook,
            json!({"parameters": [{"name": "a"}, {"name": "b"}]})
        );
    }
    #[test]
    fn items_of_a_graph_are_in_the_order_of_their_numbers() {
        let item = |order: Option<&str>, key: &str| match order {
            Some(order) => json!({"sortorder": order, "item": {"key": key}}),
            None => json!({"item": {"key": key}}),
        };
        let (a, b, c, d) = (
            item(None, "z"),
            item(Some("1"), "b"),
            item(Some("1"), "c"),
            item(Some("10"), "a"),
        );
        let mut graph = json!({"graph_items": [d, c, b, a]});
        sort(&mut graph);
        assert_eq!(graph, json!({"graph_items": [a, b, c, d]}));
    }
}
