//! A dashboard's widget from 6.0 to 7.0: a finer grid, and numbers in the names of its fields.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::take;

/// The grid became three times as fine.
const FINER: u32 = 3;

/// Fields of one value each that take several by now.
const SINGLE: &[&str] = &[
    "sysmapid",
    "itemid",
    "graphid",
    "serviceid",
    "slaid",
    "navtree",
    "filter_widget_reference",
];
/// Fields that hold lists.
const LISTS: &[&str] = &[
    "groupids",
    "hostids",
    "itemids",
    "exclude_groupids",
    "graphids",
    "severities",
    "interface_type",
    "mediatypeids",
    "actionids",
    "userids",
];

static NUMBERED: LazyLock<Regex> = LazyLock::new(|| {
    // A constant pattern, compiled by this file's tests.
    Regex::new(r"^([a-z_]+)\.([a-z_]+)\.(\d+)((?:\.\d+)?)$").expect("a valid constant pattern")
});

pub fn upgrade(widget: &mut Value) {
    for field in ["x", "width"] {
        let size = widget[field]
            .as_str()
            .and_then(|size| size.parse::<u32>().ok());
        if let Some(size) = size {
            widget[field] = json!((size * FINER).to_string());
        }
    }
    let history = widget["type"] == "plaintext";
    let Some(Value::Array(fields)) = take(widget, "fields") else {
        return;
    };
    let mut counts: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut upgraded = Vec::new();
    for mut field in fields {
        let name = field["name"].as_str().unwrap_or_default().to_owned();
        let count = counts.entry(name.clone()).or_default();
        let new = match name.as_str() {
            "itemids" if history => {
                let column = format!("columns.{count}.name");
                upgraded.push(
                    json!({"type": "1", "name": column, "value": item_name(&field["value"])}),
                );
                format!("columns.{count}.itemid")
            }
            name if SINGLE.contains(&name) || LISTS.contains(&name) => format!("{name}.{count}"),
            name => NUMBERED.replace(name, "$1.$3.$2$4").into_owned(),
        };
        *count += 1;
        field["name"] = json!(new);
        upgraded.push(field);
    }
    if history {
        widget["type"] = json!("itemhistory");
    }
    widget["fields"] = Value::Array(upgraded);
}

/// A column needs a name: that of its item's key will do.
fn item_name(item: &Value) -> Value {
    item.get("key_").cloned().unwrap_or_else(|| json!("value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_get_numbers_and_the_grid_gets_finer() {
        let mut widget = json!({"type": "problems", "x": "4", "width": "12", "y": "2", "fields": [
            {"type": "2", "name": "groupids", "value": "a"},
            {"type": "2", "name": "groupids", "value": "b"},
            {"type": "1", "name": "tags.tag.0", "value": "t"},
            {"type": "1", "name": "ds.hosts.0.1", "value": "h"},
            {"type": "0", "name": "show_lines", "value": "10"},
        ]});
        upgrade(&mut widget);
        let names: Vec<&str> = widget["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "groupids.0",
                "groupids.1",
                "tags.0.tag",
                "ds.0.hosts.1",
                "show_lines"
            ]
        );
        assert_eq!(
            (&widget["x"], &widget["width"], &widget["y"]),
            (&json!("12"), &json!("36"), &json!("2"))
        );
    }

    #[test]
    fn plain_text_becomes_a_history_of_items() {
        let mut widget = json!({"type": "plaintext", "fields": [{"type": "4", "name": "itemids", "value": {"host": "h", "key_": "k"}}]});
        upgrade(&mut widget);
        assert_eq!(widget["type"], "itemhistory");
        assert_eq!(
            widget["fields"][0],
            json!({"type": "1", "name": "columns.0.name", "value": "k"})
        );
        assert_eq!(widget["fields"][1]["name"], "columns.0.itemid");
    }
}
