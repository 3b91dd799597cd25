//! The table of object kinds. Backup, plan and restore know nothing else about what Zabbix holds.

mod actions;
mod dashboards;
mod exported;
mod monitoring;
mod people;
mod settings;
mod targets;

pub use targets::*;

use super::kind::Kind;
use crate::zabbix::Version;

const ALWAYS: Version = Version(0, 0, 0);
const NEVER: Version = Version(u16::MAX, 0, 0);
const V5_2: Version = Version(5, 2, 0);
const V5_4: Version = Version(5, 4, 0);
const V6_0: Version = Version(6, 0, 0);
const V6_2: Version = Version(6, 2, 0);
const V7_0: Version = Version(7, 0, 0);

/// Every kind, in the order of restore: what others refer to comes first.
pub static KINDS: [&Kind; 37] = [
    &monitoring::PROXY_GROUPS,
    &monitoring::PROXIES,
    &exported::HOST_GROUPS,
    &exported::TEMPLATE_GROUPS,
    &exported::VALUE_MAPS,
    &exported::IMAGES,
    &exported::MEDIA_TYPES,
    &settings::REGULAR_EXPRESSIONS,
    &settings::MACROS,
    &exported::TEMPLATES,
    &exported::HOSTS,
    &monitoring::HOST_ENCRYPTION,
    &people::USER_GROUPS,
    &monitoring::SCRIPTS,
    &monitoring::SERVICES,
    &monitoring::SERVICE_LINKS,
    &monitoring::SLAS,
    &people::ROLES,
    &people::USERS,
    &monitoring::DISCOVERY_RULES,
    &monitoring::MAINTENANCES,
    &monitoring::CORRELATIONS,
    &dashboards::ICON_MAPS,
    &exported::MAPS,
    &dashboards::MAP_SHARING,
    &exported::SCREENS,
    &actions::TRIGGER_ACTIONS,
    &actions::DISCOVERY_ACTIONS,
    &actions::REGISTRATION_ACTIONS,
    &actions::INTERNAL_ACTIONS,
    &actions::SERVICE_ACTIONS,
    &dashboards::DASHBOARDS,
    &dashboards::REPORTS,
    &settings::AUTOREGISTRATION,
    &settings::GENERAL,
    &settings::HOUSEKEEPING,
    &settings::AUTHENTICATION,
];

/// The kind of this name.
pub fn by_name(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::kind::Form;
    use crate::config::names::Names;
    use crate::config::normal::{localise, normalise};
    use crate::config::target::Target;

    #[test]
    fn names_and_files_tell_kinds_apart() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        let files: BTreeSet<_> = KINDS.iter().map(|kind| kind.file).collect();
        assert_eq!((names.len(), files.len()), (KINDS.len(), KINDS.len()));
    }

    #[test]
    fn no_kind_omits_a_field_that_it_refers_with() {
        for kind in KINDS {
            for reference in kind.references {
                let field = reference.path.rsplit('/').next().unwrap();
                assert!(!kind.omit.contains(&field), "{}: {field}", kind.name);
            }
        }
    }

    /// What a kind refers to is restored before it, or is of the kind itself.
    #[test]
    fn what_others_refer_to_comes_first() {
        for (place, kind) in KINDS.iter().enumerate() {
            for reference in kind.references {
                let maker = KINDS.iter().rposition(|other| {
                    matches!(other.form, Form::Export(_) | Form::Objects(_))
                        && other.target().name == reference.to.name
                });
                // Triggers, items and graphs come with their hosts; directories, modules and the like with the server.
                if let Some(maker) = maker {
                    assert!(
                        maker <= place,
                        "{} refers to {}",
                        kind.name,
                        reference.to.name
                    );
                }
            }
        }
    }

    /// Every field of every operation and condition that holds an id, by Zabbix's own documentation of actions.
    const ACTION_IDS: &[(&str, &Target)] = &[
        ("opmessage/mediatypeid", &MEDIA_TYPE),
        ("opmessage_grp[]/usrgrpid", &USER_GROUP),
        ("opmessage_usr[]/userid", &USER),
        ("opcommand/scriptid", &SCRIPT),
        ("opcommand_grp[]/groupid", &HOST_GROUP),
        ("opcommand_hst[]/hostid", &HOST),
        ("opgroup[]/groupid", &HOST_GROUP),
        ("optemplate[]/templateid", &TEMPLATE),
    ];

    #[test]
    fn every_field_of_an_action_that_holds_an_id_is_mapped_by_name_and_back() {
        let phases = ["operations", "recovery_operations", "update_operations"];
        let here = names(1000);
        let there = names(71_000);
        for kind in KINDS.iter().filter(|kind| kind.target().name == "action") {
            let source = source(kind);
            let mut conditions: Vec<Value> = Vec::new();
            for (condition, target) in actions::CONDITIONS {
                conditions.push(
                    json!({"conditiontype": condition, "operator": "0", "value": id(target, 1000)}),
                );
            }
            let operation = |start: usize| {
                let mut operation = json!({"operationtype": "0"});
                for (path, target) in ACTION_IDS {
                    let (list, field) = path.split_once('/').unwrap();
                    let value = json!({field: id(target, start)});
                    match list.strip_suffix("[]") {
                        Some(list) => operation[list] = json!([value]),
                        None => operation[list] = value,
                    }
                }
                operation
            };
            let mut action = json!({"name": "a", "eventsource": source, "filter": {"evaltype": "0", "conditions": conditions}});
            for phase in phases {
                action[phase] = json!([operation(1000)]);
            }
            let (normal, lost) = normalise(kind, action, &here);
            assert_eq!(lost, [], "{}", kind.name);
            let text = normal.to_string();
            assert!(
                !text.contains("\"10"),
                "an id is left in a {}: {text}",
                kind.name
            );
            let other = localise(kind, normal.clone(), &there).unwrap();
            let (again, _) = normalise(kind, other.clone(), &there);
            assert_eq!(again, normal, "{}", kind.name);
            assert!(other.to_string().contains("\"71"), "{other}");
        }
    }

    fn source(kind: &Kind) -> &'static str {
        match kind.name {
            "trigger_action" => "0",
            "discovery_action" => "1",
            "registration_action" => "2",
            "internal_action" => "3",
            _ => "4",
        }
    }

    fn id(target: &Target, start: usize) -> String {
        let place = TARGETS.iter().position(|other| other.name == target.name);
        (start + place.unwrap()).to_string()
    }

    fn names(start: usize) -> Names {
        let mut names = Names::default();
        for target in TARGETS {
            names.add(
                target,
                id(target, start),
                json!(format!("the {}", target.name)),
            );
        }
        names
    }
}
