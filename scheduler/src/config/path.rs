//! Paths into JSON: `operations[]/opcommand_hst[]/hostid` names the field `hostid` in every element of two nested lists.

use serde_json::{Map, Value};

/// Calls `act` with each object that holds the path's last field, and that field's name.
pub fn visit(root: &mut Value, path: &str, act: &mut dyn FnMut(&mut Map<String, Value>, &str)) {
    let Some((step, rest)) = path.split_once('/') else {
        if let Value::Object(object) = root
            && object.contains_key(path)
        {
            act(object, path);
        }
        return;
    };
    let (field, each) = match step.strip_suffix("[]") {
        Some(field) => (field, true),
        None => (step, false),
    };
    match root.get_mut(field) {
        Some(Value::Array(elements)) if each => {
            for element in elements {
                visit(element, rest, act);
            }
        }
        Some(inner) if !each => visit(inner, rest, act),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_reaches_every_element_and_skips_what_is_not_there() {
        let mut action = json!({"operations": [
            {"opcommand_hst": [{"hostid": "1"}, {"hostid": "2"}]},
            {"opgroup": [{"groupid": "3"}]},
        ], "filter": {"evaltype": "0"}});
        let mut seen = Vec::new();
        for path in [
            "operations[]/opcommand_hst[]/hostid",
            "operations[]/opgroup[]/groupid",
            "filter/evaltype",
            "filter/formula",
            "operations/opgroup",
        ] {
            visit(&mut action, path, &mut |object, field| {
                seen.push(object[field].clone());
            });
        }
        assert_eq!(seen, [json!("1"), json!("2"), json!("3"), json!("0")]);
    }
}
