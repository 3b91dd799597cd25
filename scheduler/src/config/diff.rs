//! What differs between two objects, field by field.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::import::list;
use super::normal::label;
use super::secrets;

/// A field that differs. It is to be shown: there is no secret in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where: `items[agent.ping]/delay`.
    pub field: String,
    /// What the server has; null where it has nothing.
    pub from: Value,
    /// What the backup has; null where it has nothing.
    pub to: Value,
}

impl Difference {
    /// Whether it lies in this field of the object, or deeper inside.
    pub fn is_in(&self, field: &str) -> bool {
        self.field
            .strip_prefix(field)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
    }
}

/// Lists inside exported objects of which an import leaves alone what it does not name.
const KEPT: &[&str] = &[
    "items",
    "triggers",
    "graphs",
    "discovery_rules",
    "item_prototypes",
    "trigger_prototypes",
    "graph_prototypes",
    "host_prototypes",
    "httptests",
    "applications",
    "valuemaps",
    "dashboards",
    "screens",
    "templates",
];

/// What must change for `observed` to become `desired`.
pub fn differences(desired: &Value, observed: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", "", desired, observed, &mut found);
    found
}

/// `desired`, with what only `observed` has in the lists of which an import leaves the rest alone.
pub fn with_kept(mut desired: Value, observed: &Value) -> Value {
    keep(&mut desired, observed);
    super::normal::sort(&mut desired);
    desired
}

/// Adds the prototypes that only `observed` has in the discovery rules of both: an import that writes a rule deletes the
/// prototypes that it does not name, whatever its rules say (`CConfigurationImport::deleteMissingPrototypes`).
pub fn keep_prototypes(desired: &mut Value, observed: &Value) {
    let rules = desired
        .get_mut("discovery_rules")
        .and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let name = label(rule);
        let mut theirs = list(observed, "discovery_rules").iter();
        if let Some(same) = theirs.find(|other| label(other) == name) {
            keep(rule, same);
        }
    }
    super::normal::sort(desired);
}

/// `observed` with only those fields that `desired` has: an update leaves the others alone.
pub fn same_fields(desired: &Value, observed: &Value) -> Value {
    match (desired, observed) {
        (Value::Object(desired), Value::Object(observed)) => {
            let fields = observed
                .iter()
                .filter(|(field, _)| desired.contains_key(*field));
            fields
                .map(|(field, value)| (field.clone(), value.clone()))
                .collect()
        }
        _ => observed.clone(),
    }
}

/// The same at every depth, for objects of an older version, which had fewer fields everywhere.
pub fn known_fields(desired: &Value, observed: &Value) -> Value {
    match (desired, observed) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let fields = theirs.iter();
            fields
                .filter_map(|(field, value)| {
                    Some((field.clone(), known_fields(ours.get(field)?, value)))
                })
                .collect()
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            // Switches, such as a role's: the older version knew some of them.
            let by = ["name", "moduleid"].into_iter().find(|by| {
                let mut switches = ours.iter().chain(theirs);
                switches.all(|switch| switch[by].is_string() && switch["status"].is_string())
            });
            if let Some(by) = by {
                let known = ours.iter().map(|ours| {
                    let same = theirs.iter().find(|theirs| theirs[by] == ours[by]);
                    same.cloned().unwrap_or_default()
                });
                return known.collect();
            }
            let pairs = theirs.iter().enumerate();
            pairs
                .map(|(index, theirs)| {
                    ours.get(index)
                        .map_or_else(|| theirs.clone(), |ours| known_fields(ours, theirs))
                })
                .collect()
        }
        _ => observed.clone(),
    }
}

/// With the same UUID it is the same under another name.
fn has_uuid_of(element: &Value, other: &Value) -> bool {
    element.get("uuid").is_some() && element.get("uuid") == other.get("uuid")
}

fn keep(desired: &mut Value, observed: &Value) {
    let (Value::Object(desired), Value::Object(observed)) = (desired, observed) else {
        return;
    };
    for (field, theirs) in observed {
        let Value::Array(theirs) = theirs else {
            continue;
        };
        if !KEPT.contains(&field.as_str()) {
            continue;
        }
        let ours = desired.entry(field.clone()).or_insert_with(|| json!([]));
        let Value::Array(ours) = ours else { continue };
        for element in theirs {
            let name = label(element);
            if let Some(same) = ours.iter_mut().find(|other| label(other) == name) {
                keep(same, element);
            } else if !ours.iter().any(|other| has_uuid_of(element, other)) {
                ours.push(element.clone());
            }
        }
        if ours.is_empty() {
            desired.remove(field);
        }
    }
}

/// Compares what lies at `place`: a list of this name, or an element of it.
fn compare(
    list: &str,
    place: &str,
    desired: &Value,
    observed: &Value,
    found: &mut Vec<Difference>,
) {
    if desired == observed {
        return;
    }
    match (desired, observed) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let mut fields: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
            fields.sort_unstable();
            fields.dedup();
            for field in fields {
                let place = match place {
                    "" => field.clone(),
                    place => format!("{place}/{field}"),
                };
                let part =
                    |object: &Map<String, Value>| object.get(field).cloned().unwrap_or(Value::Null);
                let (mut our_part, mut their_part) = (part(ours), part(theirs));
                if our_part == their_part {
                    continue;
                }
                if [ours, theirs]
                    .iter()
                    .any(|fields| secrets::is_secret(list, fields, field))
                {
                    for part in [&mut our_part, &mut their_part] {
                        if !part.is_null() {
                            *part = json!("a secret");
                        }
                    }
                    found.push(difference(field, &place, &our_part, &their_part));
                } else {
                    compare(field, &place, &our_part, &their_part, found);
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            let differ = |elements: &[Value]| {
                let mut labels: Vec<String> = elements.iter().map(label).collect();
                labels.sort_unstable();
                labels.windows(2).any(|pair| pair[0] == pair[1])
            };
            if differ(ours) || differ(theirs) {
                found.push(difference(list, place, desired, observed));
                return;
            }
            let before = found.len();
            for element in ours {
                let name = label(element);
                let same = theirs.iter().find(|other| label(other) == name);
                compare(
                    list,
                    &format!("{place}[{name}]"),
                    element,
                    same.unwrap_or(&Value::Null),
                    found,
                );
            }
            for element in theirs {
                let name = label(element);
                if !ours.iter().any(|other| label(other) == name) {
                    found.push(difference(
                        list,
                        &format!("{place}[{name}]"),
                        &Value::Null,
                        element,
                    ));
                }
            }
            // The same elements in another order.
            if found.len() == before {
                found.push(difference(list, place, desired, observed));
            }
        }
        _ => found.push(difference(list, place, desired, observed)),
    }
}

fn difference(list: &str, place: &str, desired: &Value, observed: &Value) -> Difference {
    let shown = |value: &Value| {
        let mut value = value.clone();
        secrets::leave_out_of_part(&mut value, list);
        value
    };
    Difference {
        field: place.to_owned(),
        from: shown(observed),
        to: shown(desired),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(desired: &Value, observed: &Value) -> Vec<String> {
        differences(desired, observed)
            .into_iter()
            .map(|difference| difference.field)
            .collect()
    }

    #[test]
    fn each_differing_field_is_named_by_its_place() {
        let desired = json!({"host": "h", "status": "0", "items": [{"key": "a", "delay": "1m"}, {"key": "b"}]});
        let observed = json!({"host": "h", "items": [{"key": "a", "delay": "2m"}, {"key": "c"}]});
        assert_eq!(
            fields(&desired, &observed),
            ["items[a]/delay", "items[b]", "items[c]", "status"]
        );
        assert!(fields(&desired, &desired).is_empty());
    }

    #[test]
    fn a_difference_shows_no_secret() {
        let object = |secret: &str, more: Value| {
            json!({"host": "h", "ipmi_password": secret, "items": [
                {"key": "a", "password": secret, "headers": [{"name": "Authorization", "value": secret}]}, more]})
        };
        let ours = object("ours", json!({"key": "b", "password": "ours"}));
        let theirs = object(
            "theirs",
            json!({"key": "c", "parameters": [{"name": "token", "value": "theirs"}]}),
        );
        let found = differences(&ours, &theirs);
        let text = json!(found).to_string();
        assert!(!text.contains("ours") && !text.contains("theirs"), "{text}");
        assert_eq!(
            fields(&ours, &theirs),
            [
                "ipmi_password",
                "items[a]/headers[Authorization]/value",
                "items[a]/password",
                "items[b]",
                "items[c]"
            ]
        );
    }

    /// Somebody filled it in; a server tells it to nobody.
    #[test]
    fn the_value_of_a_secret_macro_is_not_shown() {
        for kind in ["SECRET_TEXT", "1"] {
            let theirs = json!({"host": "h", "macros": [{"macro": "{$S}", "type": kind}]});
            let mut ours = theirs.clone();
            ours["macros"][0]["value"] = json!("ours");
            for theirs in [theirs, json!({"host": "h"})] {
                let text = json!(differences(&ours, &theirs)).to_string();
                assert!(text.contains("macros") && !text.contains("ours"), "{text}");
            }
        }
    }

    #[test]
    fn another_order_is_a_difference_where_order_counts() {
        let desired = json!({"steps": [{"name": "1"}, {"name": "2"}]});
        let observed = json!({"steps": [{"name": "2"}, {"name": "1"}]});
        assert_eq!(fields(&desired, &observed), ["steps"]);
    }

    #[test]
    fn switches_that_an_older_version_did_not_know_are_no_difference() {
        let ours = json!({"ui": [{"name": "maps", "status": "0"}], "modules": []});
        let theirs = |maps: &str| {
            let switch = |name: &str, status: &str| json!({"name": name, "status": status});
            json!({"ui": [switch("audit", "1"), switch("maps", maps)],
                "modules": [{"moduleid": "clock", "status": "1"}]})
        };
        assert_eq!(known_fields(&ours, &theirs("0")), ours);
        let known = known_fields(&ours, &theirs("1"));
        assert_eq!(fields(&ours, &known), ["ui[maps]/status"]);
    }

    #[test]
    fn prototypes_of_a_rule_that_is_written_are_kept() {
        let mut desired = json!({"discovery_rules": [
            {"key": "r", "item_prototypes": [{"key": "a", "uuid": "1"}, {"key": "b", "uuid": "2"}]}]});
        let observed = json!({"items": [{"key": "x"}], "discovery_rules": [
            {"key": "r", "item_prototypes": [
                {"key": "a", "trigger_prototypes": [{"name": "t"}]}, {"key": "old b", "uuid": "2"}, {"key": "c"}]},
            {"key": "other"}]});
        keep_prototypes(&mut desired, &observed);
        let kept = json!({"discovery_rules": [
            {"key": "r", "item_prototypes": [
                {"key": "a", "uuid": "1", "trigger_prototypes": [{"name": "t"}]}, {"key": "b", "uuid": "2"}, {"key": "c"}]}]});
        assert_eq!(desired, kept);
    }

    #[test]
    fn what_an_import_leaves_alone_is_no_difference() {
        let desired = json!({"template": "t", "items": [{"key": "a"}]});
        let observed = json!({
            "template": "t",
            "items": [{"key": "a", "triggers": [{"name": "n", "expression": "e"}]}, {"key": "b"}],
            "tags": [{"tag": "x", "value": "y"}],
        });
        let kept = with_kept(desired, &observed);
        assert_eq!(fields(&kept, &observed), ["tags"]);
    }
}
