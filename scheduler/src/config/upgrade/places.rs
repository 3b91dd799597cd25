//! Services and scripts go by their places, whatever the version that made the backup, of Zabbix or of this command,
//! called them.

use std::collections::BTreeMap;

use serde_json::json;

use super::objects;
use crate::config::kind::Form;
use crate::config::kinds::{self, KINDS};
use crate::config::names::{each_reference, in_menu};
use crate::config::normal;
use crate::config::snapshot::Snapshot;
use crate::config::target::Target;
use crate::config::tree::{self, Node};
use crate::zabbix::Version;

/// Calls them as `version` does.
pub fn rename(snapshot: &mut Snapshot, version: Version) {
    let services: Vec<Node> = objects(snapshot, "service")
        .filter_map(|(name, service)| tree::node(service, name.clone()))
        .collect();
    let names = tree::paths(&services).into_iter();
    let names = services.iter().map(|node| node.key.clone()).zip(names);
    apply(snapshot, &kinds::SERVICE, &names.collect());
    let names = objects(snapshot, "script")
        .filter_map(|(name, script)| Some((name.clone(), in_menu(script, version)?)))
        .collect();
    apply(snapshot, &kinds::SCRIPT, &names);
}

/// Gives the objects their new names, here and in all that refers to them.
fn apply(snapshot: &mut Snapshot, target: &Target, names: &BTreeMap<String, String>) {
    if names.iter().all(|(old, new)| old == new) {
        return;
    }
    for kind in KINDS
        .iter()
        .filter(|kind| !matches!(kind.form, Form::Export(_)))
    {
        if kind.target().name == target.name
            && let Some(objects) = snapshot.parts.remove(&kind.part())
        {
            snapshot.parts.entry(kind.part()).or_default();
            for (old, object) in objects {
                let new = names.get(&old).unwrap_or(&old).clone();
                snapshot.insert(kind.part(), new, object);
            }
        }
        for (_, object) in objects(snapshot, kind.name) {
            each_reference(kind, object, &mut |reference, value| {
                let new = value.as_str().and_then(|old| names.get(old));
                if let (true, Some(new)) = (reference.to.name == target.name, new) {
                    *value = json!(new);
                }
            });
            normal::sort(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::upgrade::tests::{backup, object};

    const V7_0: Version = Version(7, 0, 0);

    #[test]
    fn a_backup_that_told_apart_only_what_shared_a_name_restores() {
        let service = |name: &str, parents: &[&str]| {
            let parents = parents.iter().map(|parent| json!({"serviceid": parent}));
            json!({"name": name, "parents": parents.collect::<Vec<_>>()})
        };
        let asks = |service: &str| {
            json!({"name": "a", "eventsource": "4", "filter": {"conditions": [
                {"conditiontype": "27", "operator": "0", "value": service},
                {"conditiontype": "28", "operator": "0", "value": "Database"}]}})
        };
        let script = json!({"name": "restart", "scope": "2", "menu_path": "Own/tools"});
        let runs = |script: &str| json!({"name": "b", "eventsource": "0", "operations": [{"operationtype": "1", "opcommand": {"scriptid": script}}]});
        let mut old = backup(
            V7_0,
            &[
                ("service", "Company", service("Company", &[])),
                ("service", "Shop ()", service("Shop", &[])),
                ("service", "Shop (Company)", service("Shop", &["Company"])),
                (
                    "service",
                    "Database",
                    service("Database", &["Shop ()", "Shop (Company)"]),
                ),
                ("service_action", "a", asks("Database")),
                ("script", "restart", script.clone()),
                ("trigger_action", "b", runs("restart")),
            ],
        );
        let new = backup(
            V7_0,
            &[
                ("service", "Company", service("Company", &[])),
                ("service", "Shop", service("Shop", &[])),
                ("service", "Company > Shop", service("Shop", &["Company"])),
                (
                    "service",
                    "Company > Shop > Database",
                    service("Database", &["Company > Shop", "Shop"]),
                ),
                ("service_action", "a", asks("Company > Shop > Database")),
                ("script", "Own/tools/restart", script),
                ("trigger_action", "b", runs("Own/tools/restart")),
            ],
        );
        rename(&mut old, V7_0);
        assert_eq!(old.parts, new.parts);
        rename(&mut old, V7_0);
        assert_eq!(old.parts, new.parts, "once is enough");
        rename(&mut old, Version(6, 0, 14));
        let action = object(&old, "trigger_action", "b");
        let script = &action["operations"][0]["opcommand"]["scriptid"];
        assert_eq!(script, "restart", "a name is enough");
    }
}
