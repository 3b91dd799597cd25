//! Folders of the original program, of both its generations: ids in place of names, and a map of ids beside them.

use serde_json::Value;

use super::kind::Kind;
use super::kinds::{HOST, HOST_GROUP, MEDIA_TYPE, TEMPLATE};
use super::names::Names;
use super::normal::normalise as by_names;
use super::target::Target;
use crate::zabbix::Version;

/// The first generation's map of ids.
const FIRST: &str = "actions_data_orig.json";
/// The second generation's map of ids.
const SECOND: &str = "id_map_backup.json";
/// Files that are read, and that no backup writes.
pub const MAPS: [&str; 2] = [FIRST, SECOND];

/// Whether the files are the original program's: nothing says so but the lack of what a backup always has.
pub fn is_legacy(parsed: &[(&str, Value)]) -> bool {
    !parsed.iter().any(|(file, _)| *file == super::folder::ABOUT)
}

/// The names that the maps give to ids.
pub fn names(parsed: &[(&str, Value)]) -> Names {
    let mut names = Names::default();
    for (_, map) in parsed.iter().filter(|(file, _)| MAPS.contains(file)) {
        for (section, target) in [
            ("templates", &TEMPLATE),
            ("hostgroups", &HOST_GROUP),
            ("hosts", &HOST),
            ("mediatypes", &MEDIA_TYPE),
        ] {
            for (id, name) in entries(map.get(section), target) {
                names.add(target, id, Value::String(name));
            }
        }
    }
    names
}

/// From the original's form to the normal one; references that the maps do not name are told.
pub fn normalise(kind: &Kind, object: Value, names: &Names, lost: &mut Vec<String>) -> Value {
    let name = kind
        .target()
        .name_field(Version(5, 0, 0))
        .and_then(|field| object.get(field))
        .and_then(Value::as_str)
        .unwrap_or(kind.name)
        .to_owned();
    let (object, dangling) = by_names(kind, object, names);
    let lines = dangling.iter();
    lost.extend(lines.map(|dangling| format!("{} \"{name}\": {dangling}", kind.name)));
    object
}

/// Ids and names of a section: a list of objects, an object of objects, or an object from name to id.
fn entries(section: Option<&Value>, target: &Target) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let entry = |object: &Value| {
        let first = |fields: &[&str]| fields.iter().find_map(|field| text(object.get(field)?));
        Some((first(&["id", target.id])?, first(&["name", "host"])?))
    };
    match section {
        Some(Value::Array(objects)) => objects.iter().filter_map(entry).collect(),
        Some(Value::Object(fields)) => fields
            .iter()
            .filter_map(|(name, value)| entry(value).or_else(|| Some((text(value)?, name.clone()))))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::kinds;

    fn action() -> Value {
        json!({
            "actionid": "7", "name": "Register web", "eventsource": "2", "status": "0", "esc_period": "1h",
            "filter": {"evaltype": "0", "formula": "", "eval_formula": "A", "conditions": [
                {"conditiontype": "24", "operator": "2", "value": "web", "value2": "", "formulaid": "A"}]},
            "operations": [
                {"operationid": "1", "actionid": "7", "operationtype": "4", "opgroup": [{"operationid": "1", "groupid": "15"}]},
                {"operationid": "2", "actionid": "7", "operationtype": "6", "optemplate": [{"operationid": "2", "templateid": "10200"}]},
            ],
            "recoveryOperations": [],
        })
    }

    #[test]
    fn both_generations_of_id_maps_give_names_to_ids() {
        let kind = kinds::by_name("registration_action").unwrap();
        for (file, map) in [
            (
                FIRST,
                json!({"templates": [{"templateid": "10200", "host": "Web"}], "hostgroups": [{"groupid": "15", "name": "Web servers"}]}),
            ),
            (
                SECOND,
                json!({"templates": [{"id": "10200", "md5": "x", "name": "Web"}], "hostgroups": {"y": {"id": 15, "name": "Web servers"}}}),
            ),
        ] {
            let names = names(&[(file, map)]);
            let mut lost = Vec::new();
            let action = normalise(kind, action(), &names, &mut lost);
            assert_eq!(lost, Vec::<String>::new());
            assert_eq!(
                action["operations"][0]["opgroup"][0]["groupid"],
                "Web servers"
            );
            assert_eq!(
                action["operations"][1]["optemplate"][0]["templateid"],
                "Web"
            );
            assert!(action.get("actionid").is_none() && action.get("esc_period").is_none());
        }
    }

    #[test]
    fn an_id_that_no_map_names_is_told() {
        let kind = kinds::by_name("registration_action").unwrap();
        let mut lost = Vec::new();
        normalise(kind, action(), &Names::default(), &mut lost);
        assert_eq!(lost.len(), 2);
        assert!(
            lost[0].contains("Register web") && lost[0].contains("15"),
            "{lost:?}"
        );
    }
}
