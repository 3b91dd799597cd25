//! A host's interfaces, numbered by what they are: Zabbix numbers them in the order in which they were made.

use std::collections::HashMap;

use serde_json::Value;

const NUMBER: &str = "interface_ref";

/// Sorts the host's interfaces and numbers them anew, in its items too.
pub fn renumber(host: &mut Value) {
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
