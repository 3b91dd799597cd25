//! 5.0 to 6.0: roles, scripts for every command, services of another form, dashboards with pages.

use serde_json::{Value, json};

use super::{NotCarried, lose, objects, operations, rename, take};
use crate::config::kinds;
use crate::config::snapshot::Snapshot;

const ACTIONS: [&str; 4] = [
    "trigger_action",
    "discovery_action",
    "registration_action",
    "internal_action",
];

pub fn upgrade(snapshot: &mut Snapshot, lost: &mut Vec<NotCarried>) {
    users(snapshot);
    value_maps(snapshot, lost);
    for (name, _) in objects(snapshot, "screen") {
        lose(
            lost,
            "screen",
            name,
            "screens ended with 5.4; its place is a dashboard",
        );
    }
    conditions(snapshot, lost);
    scripts(snapshot);
    services(snapshot, lost);
    for (_, dashboard) in objects(snapshot, "dashboard") {
        if let Some(widgets) = take(dashboard, "widgets") {
            dashboard["pages"] = json!([{"name": "", "display_period": "0", "widgets": widgets}]);
        }
    }
}

fn users(snapshot: &mut Snapshot) {
    for (_, user) in objects(snapshot, "user") {
        rename(user, "alias", "username");
        // What was everybody's default is called so since 5.2.
        if user["lang"] == "en_GB" {
            user["lang"] = json!("default");
        }
        let role = match take(user, "type").as_ref().and_then(Value::as_str) {
            _ if user["username"] == "guest" => "Guest role",
            Some("2") => "Admin role",
            Some("3") => "Super admin role",
            _ => "User role",
        };
        user["roleid"] = json!(role);
    }
}

/// Value maps now belong to the templates and hosts that use them, which the import sees to.
fn value_maps(snapshot: &Snapshot, lost: &mut Vec<NotCarried>) {
    let of_kind = |name: &str| kinds::by_name(name).and_then(|kind| snapshot.of_kind(kind));
    let Some(maps) = of_kind("value_map") else {
        return;
    };
    let users = [of_kind("template"), of_kind("host")];
    let users = users
        .into_iter()
        .flatten()
        .flat_map(|objects| objects.values());
    let users: Vec<String> = users.map(Value::to_string).collect();
    for name in maps.keys() {
        let reference = format!("\"valuemap\":{}", json!({"name": name}));
        if !users.iter().any(|text| text.contains(&reference)) {
            lose(
                lost,
                "value_map",
                name,
                "no template and no host uses it, and there are no others in 6.0",
            );
        }
    }
}

/// Applications ended with 5.4, and so did the condition that asks for one.
fn conditions(snapshot: &mut Snapshot, lost: &mut Vec<NotCarried>) {
    for kind in ACTIONS {
        for (name, action) in objects(snapshot, kind) {
            rename(action, "acknowledge_operations", "update_operations");
            let own_formula = action["filter"]["evaltype"] == "3";
            let conditions = action.pointer_mut("/filter/conditions");
            let Some(conditions) = conditions.and_then(Value::as_array_mut) else {
                continue;
            };
            let before = conditions.len();
            conditions.retain(|condition| condition["conditiontype"] != "15");
            if conditions.len() < before {
                lose(
                    lost,
                    kind,
                    name,
                    "its conditions on applications, which ended with 5.4",
                );
                if own_formula {
                    // Its formula names what is gone: without it the action might act on everything.
                    action["status"] = json!("1");
                    action["filter"]["evaltype"] = json!("0");
                    lose(
                        lost,
                        kind,
                        name,
                        "its formula; the action comes disabled, for you to look at",
                    );
                }
            }
        }
    }
}

/// Actions run global scripts only, and a script is for actions or for people.
fn scripts(snapshot: &mut Snapshot) {
    let mut made: Vec<(String, Value)> = Vec::new();
    let global: Vec<(String, Value)> = objects(snapshot, "script")
        .map(|(name, script)| (name.clone(), script.clone()))
        .collect();
    for kind in ACTIONS {
        for (action_name, action) in objects(snapshot, kind) {
            for operation in operations(action) {
                if let Some(command) = operation.get("opcommand") {
                    let (name, script) = script_for(action_name, command, &global, &made);
                    operation["opcommand"] = json!({"scriptid": name});
                    if !made.iter().any(|(other, _)| *other == name) {
                        made.push((name, script));
                    }
                }
            }
        }
    }
    for (_, script) in objects(snapshot, "script") {
        script["scope"] = json!("2");
        let name = script["name"].as_str().unwrap_or_default().to_owned();
        if let Some((path, name)) = name.rsplit_once('/') {
            script["menu_path"] = json!(path);
            script["name"] = json!(name);
        }
    }
    let Some(kind) = kinds::by_name("script") else {
        return;
    };
    let scripts = std::mem::take(snapshot.parts.entry(kind.part()).or_default());
    let renamed = scripts
        .into_values()
        .chain(made.into_iter().map(|(_, script)| script));
    for script in renamed.collect::<Vec<_>>() {
        let name = script["name"].as_str().unwrap_or_default().to_owned();
        snapshot.insert(kind.part(), name, script);
    }
}

/// The script that does what a command did.
fn script_for(
    action: &str,
    command: &Value,
    global: &[(String, Value)],
    made: &[(String, Value)],
) -> (String, Value) {
    let field = |field: &str| command.get(field).cloned().unwrap_or(json!(""));
    let mut script = if command["type"] == "4" {
        let name = command["scriptid"].as_str().unwrap_or_default();
        let known = global.iter().find(|(other, _)| other == name);
        let mut script = known.map_or(json!({}), |(_, script)| script.clone());
        script["name"] = json!(format!("{} (for actions)", name.replace('/', " ")));
        script
    } else {
        json!({
            "type": field("type"), "command": field("command"), "execute_on": field("execute_on"),
            "port": field("port"), "authtype": field("authtype"), "username": field("username"),
            "publickey": field("publickey"), "privatekey": field("privatekey"),
            "groupid": null, "description": "",
        })
    };
    script["scope"] = json!("1");
    if let Some(name) = script["name"].as_str() {
        return (name.to_owned(), script);
    }
    let same = |other: &Value| {
        let mut other = other.clone();
        take(&mut other, "name");
        other == script
    };
    if let Some((name, script)) = made.iter().find(|(_, other)| same(other)) {
        return (name.clone(), script.clone());
    }
    let numbers = 1..=made.len() + 1;
    let mut names = numbers.map(|number| format!("{action} {number}"));
    let free = names.find(|name| !made.iter().any(|(other, _)| other == name));
    let name = free.unwrap_or_else(|| action.to_owned());
    script["name"] = json!(name);
    (name, script)
}

fn services(snapshot: &mut Snapshot, lost: &mut Vec<NotCarried>) {
    let links: Vec<(String, Value)> = objects(snapshot, "service_link")
        .map(|(name, link)| (name.clone(), link.clone()))
        .collect();
    for (name, service) in objects(snapshot, "service") {
        // The two "most critical" rules are told apart by which children count.
        let algorithm = match service["algorithm"].as_str() {
            Some("1") => "2",
            Some("2") => "1",
            _ => "0",
        };
        service["algorithm"] = json!(algorithm);
        let mut parents: Vec<Value> = take(service, "parentid")
            .into_iter()
            .filter(Value::is_string)
            .collect();
        for (parent, link) in &links {
            let below = link["dependencies"].as_array().into_iter().flatten();
            let soft =
                below.filter(|link| link["soft"] == "1" && link["servicedownid"] == json!(name));
            parents.extend(soft.map(|_| json!(parent)));
        }
        service["parents"] = parents
            .into_iter()
            .map(|parent| json!({"serviceid": parent}))
            .collect();
        let shows = take(service, "showsla") == Some(json!("1"));
        let goal = take(service, "goodsla").unwrap_or_default();
        let times = take(service, "times").unwrap_or_default();
        if shows {
            let goal = goal.as_str().unwrap_or_default().to_owned();
            lose(
                lost,
                "service",
                name,
                format!("its SLA of {goal} %: SLAs are objects of their own in 6.0"),
            );
        }
        if times.as_array().is_some_and(|times| !times.is_empty()) {
            lose(
                lost,
                "service",
                name,
                "its times of service, which belong to an SLA in 6.0",
            );
        }
        if take(service, "triggerid").is_some_and(|trigger| !trigger.is_null()) {
            lose(
                lost,
                "service",
                name,
                "its trigger: 6.0 finds a service's problems by tags",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::upgrade::tests::{backup, lines, object};
    use crate::config::upgrade::upgrade;
    use crate::zabbix::Version;

    const OLD: Version = Version(5, 0, 0);
    const NEW: Version = Version(6, 0, 0);

    #[test]
    fn screens_and_value_maps_that_nothing_uses_are_named() {
        let item = json!({"key": "a", "valuemap": {"name": "used"}});
        let old = backup(
            OLD,
            &[
                ("screen", "Overview", json!({"name": "Overview"})),
                ("value_map", "used", json!({"name": "used"})),
                ("value_map", "unused", json!({"name": "unused"})),
                ("template", "t", json!({"template": "t", "items": [item]})),
            ],
        );
        let (desired, lost) = upgrade(&old, NEW);
        assert_eq!(
            lines(&lost),
            [
                "screen Overview: screens ended with 5.4; its place is a dashboard",
                "value_map unused: no template and no host uses it, and there are no others in 6.0",
            ]
        );
        for kind in ["screen", "value_map"] {
            let kind = kinds::by_name(kind).unwrap();
            assert!(desired.snapshot.of_kind(kind).is_none());
        }
    }

    #[test]
    fn conditions_on_applications_are_named_and_a_formula_over_them_disables_the_action() {
        let action = |evaltype: &str, formula: &str| {
            json!({"status": "0", "eventsource": "0", "filter": {"evaltype": evaltype, "formula": formula, "conditions": [
                {"conditiontype": "15", "operator": "0", "value": "CPU", "formulaid": "A"},
                {"conditiontype": "4", "operator": "5", "value": "2", "formulaid": "B"}]}})
        };
        let old = backup(
            OLD,
            &[
                ("trigger_action", "any", action("2", "")),
                ("trigger_action", "own", action("3", "A or B")),
            ],
        );
        let (desired, lost) = upgrade(&old, NEW);
        assert_eq!(
            lines(&lost),
            [
                "trigger_action any: its conditions on applications, which ended with 5.4",
                "trigger_action own: its conditions on applications, which ended with 5.4",
                "trigger_action own: its formula; the action comes disabled, for you to look at",
            ]
        );
        for (name, status) in [("any", "0"), ("own", "1")] {
            let action = object(&desired.snapshot, "trigger_action", name);
            assert_eq!(action["status"], status);
            let conditions = action["filter"]["conditions"].as_array().unwrap();
            assert_eq!(conditions.len(), 1);
            assert_eq!(conditions[0]["conditiontype"], "4");
            assert!(action["filter"].get("formula").is_none());
        }
    }

    #[test]
    fn what_a_service_loses_is_named_and_soft_links_become_parents() {
        let service = |name: &str, parent: Value, shows: &str| {
            json!({"name": name, "algorithm": "2", "parentid": parent, "showsla": shows, "goodsla": "99.9",
                "triggerid": null, "times": []})
        };
        let mut database = service("Database", json!("Shop"), "1");
        database["times"] = json!([{"type": "0", "ts_from": "0", "ts_to": "3600", "note": ""}]);
        database["triggerid"] = json!({"host": "h", "description": "down"});
        let below = json!([
            {"servicedownid": "Database", "soft": "1"},
            {"servicedownid": "Shop", "soft": "0"}]);
        let old = backup(
            OLD,
            &[
                ("service", "Company", service("Company", Value::Null, "0")),
                ("service", "Shop", service("Shop", json!("Company"), "0")),
                ("service", "Database", database),
                (
                    "service_link",
                    "Company",
                    json!({"name": "Company", "dependencies": below}),
                ),
            ],
        );
        let (desired, lost) = upgrade(&old, NEW);
        assert_eq!(
            lines(&lost),
            [
                "service Database: its SLA of 99.9 %: SLAs are objects of their own in 6.0",
                "service Database: its times of service, which belong to an SLA in 6.0",
                "service Database: its trigger: 6.0 finds a service's problems by tags",
            ]
        );
        let database = object(&desired.snapshot, "service", "Company > Database");
        assert_eq!(
            *database,
            json!({"name": "Database", "algorithm": "1",
                "parents": [{"serviceid": "Company > Shop"}, {"serviceid": "Company"}]})
        );
    }

    #[test]
    fn commands_become_scripts_of_their_own_and_types_become_roles() {
        let operation = |command: Value| json!({"operationtype": "1", "opcommand": command});
        let command = json!({"type": "0", "command": "reboot", "execute_on": "1"});
        let old = backup(
            OLD,
            &[
                (
                    "script",
                    "Own/restart",
                    json!({"name": "Own/restart", "type": "0", "command": "restart"}),
                ),
                (
                    "trigger_action",
                    "a",
                    json!({"eventsource": "0", "operations": [operation(command)],
                    "acknowledge_operations": [operation(json!({"type": "4", "scriptid": "Own/restart"}))]}),
                ),
                (
                    "user",
                    "otto",
                    json!({"alias": "otto", "type": "2", "lang": "en_GB"}),
                ),
                (
                    "user",
                    "guest",
                    json!({"alias": "guest", "type": "1", "lang": "de_DE"}),
                ),
            ],
        );
        let (desired, lost) = upgrade(&old, NEW);
        assert_eq!(lines(&lost), [""; 0]);
        let action = object(&desired.snapshot, "trigger_action", "a");
        assert_eq!(
            action["operations"][0]["opcommand"],
            json!({"scriptid": "a 1"})
        );
        assert_eq!(
            action["update_operations"][0]["opcommand"],
            json!({"scriptid": "Own restart (for actions)"})
        );
        let script = |name: &str| object(&desired.snapshot, "script", name);
        assert_eq!(script("a 1")["scope"], "1");
        assert_eq!(script("a 1")["command"], "reboot");
        assert_eq!(script("Own restart (for actions)")["command"], "restart");
        assert_eq!(script("restart")["menu_path"], "Own");
        let user = |name: &str| object(&desired.snapshot, "user", name);
        assert_eq!(user("otto")["roleid"], "Admin role");
        assert_eq!(user("otto")["lang"], "default");
        assert_eq!(user("guest")["roleid"], "Guest role");
    }
}
