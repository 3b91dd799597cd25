//! Numbers by which parts of an exported object refer to each other, given anew: Zabbix numbers a host's interfaces in the
//! order in which they were made, and a map's elements by their ids.

use std::collections::HashMap;

use serde_json::Value;

const NUMBER: &str = "interface_ref";

/// Gives new numbers to whatever the object numbers.
pub fn renumber(object: &mut Value) {
    interfaces(object);
    elements(object, 1);
}

/// Numbers the elements of maps through: one import takes all its elements and links together, so that a link would end at
/// another map's element with the same number (`CMap::update` of 5.0 to 7.0).
pub fn through(maps: &mut [Value]) {
    maps.iter_mut().fold(1, |first, map| elements(map, first));
}

/// Numbers the map's elements in their order, and its links by them; answers with the number after the last.
fn elements(map: &mut Value, first: usize) -> usize {
    let mut numbers = HashMap::new();
    for (number, element) in (first..).zip(list(map, "selements")) {
        let number = Value::from(number.to_string());
        let old = std::mem::replace(&mut element["selementid"], number.clone());
        numbers.insert(old.to_string(), number);
    }
    for link in list(map, "links") {
        for end in ["selementid1", "selementid2"] {
            if let Some(number) = numbers.get(&link[end].to_string()) {
                link[end] = number.clone();
            }
        }
    }
    first + numbers.len()
}

fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter()
        .flatten()
        .filter(|element| element.is_object())
}

/// Sorts the host's interfaces and numbers them anew, in its items too.
fn interfaces(host: &mut Value) {
    let Some(Value::Array(interfaces)) = host.get_mut("interfaces") else {
        return;
    };
    interfaces.sort_by_cached_key(|interface| {
        let mut interface = interface.clone();
        if let Some(fields) = interface.as_object_mut() {
            fields.remove(NUMBER);
        }
        // The default interface of a type carries no `default` field and comes first.
        let spare = interface.get("default").is_some();
        let kind = interface["type"].as_str().unwrap_or_default().to_owned();
        (kind, spare, interface.to_string())
    });
    let mut numbers = HashMap::new();
    for (index, interface) in interfaces.iter_mut().enumerate() {
        let number = format!("if{}", index + 1);
        if let Some(Value::String(old)) = interface.get(NUMBER) {
            numbers.insert(old.clone(), number.clone());
        }
        interface[NUMBER] = Value::String(number);
    }
    for section in ["items", "discovery_rules"] {
        if let Some(elements) = host.get_mut(section) {
            replace(elements, &numbers);
        }
    }
}

fn replace(value: &mut Value, numbers: &HashMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                match inner {
                    Value::String(old) if field == NUMBER => {
                        if let Some(new) = numbers.get(old) {
                            old.clone_from(new);
                        }
                    }
                    _ => replace(inner, numbers),
                }
            }
        }
        Value::Array(elements) => {
            elements
                .iter_mut()
                .for_each(|element| replace(element, numbers));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_of_a_map_are_not_numbered_by_their_ids() {
        let map = |first: &str, second: &str| {
            let mut map = json!({
                "selements": [{"label": "a", "selementid": first}, {"label": "b", "selementid": second}],
                "links": [{"selementid1": second, "selementid2": first}],
            });
            renumber(&mut map);
            map
        };
        assert_eq!(map("7", "12"), map("1", "2"));
        assert_eq!(map("7", "12")["links"][0]["selementid1"], "2");
    }

    #[test]
    fn no_two_elements_of_the_maps_of_an_import_have_one_number() {
        let map = json!({
            "selements": [{"label": "a", "selementid": "1"}, {"label": "b", "selementid": "2"}],
            "links": [{"selementid1": "1", "selementid2": "2"}],
        });
        let mut maps = [map.clone(), json!({}), map];
        through(&mut maps);
        assert_eq!(maps[0]["links"][0]["selementid2"], "2");
        assert_eq!(maps[2]["selements"][1]["selementid"], "4");
        assert_eq!(
            maps[2]["links"][0],
            json!({"selementid1": "3", "selementid2": "4"})
        );
    }

    #[test]
    fn interfaces_made_in_another_order_get_the_same_numbers() {
        let host = |first: &str, second: &str| {
            let mut interfaces = vec![
                json!({"type": "ZABBIX", "ip": "10.0.0.1", NUMBER: first}),
                json!({"type": "SNMP", "ip": "10.0.0.2", NUMBER: second}),
            ];
            interfaces.sort_by_key(|interface| interface[NUMBER].to_string());
            let mut host = json!({
                "interfaces": interfaces,
                "items": [{"key": "agent.ping", NUMBER: first}],
                "discovery_rules": [{"key": "d", "item_prototypes": [{"key": "p", NUMBER: second}]}],
            });
            renumber(&mut host);
            host
        };
        assert_eq!(host("if1", "if2"), host("if2", "if1"));
        assert_eq!(host("if1", "if2")["items"][0][NUMBER], "if2");
    }
}
