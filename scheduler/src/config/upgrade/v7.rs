//! 6.0 to 7.0: template groups apart from host groups, proxies' new fields, finer dashboards.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::widget;
use super::{NotCarried, lose, objects, rename, take};
use crate::config::kinds::{self, KINDS};
use crate::config::names::each_reference;
use crate::config::snapshot::Snapshot;

pub fn upgrade(snapshot: &mut Snapshot, lost: &mut Vec<NotCarried>) {
    groups(snapshot);
    proxies(snapshot);
    for (_, rule) in objects(snapshot, "discovery_rule") {
        rename(rule, "proxy_hostid", "proxyid");
    }
    for (_, maintenance) in objects(snapshot, "maintenance") {
        rename(maintenance, "groups", "hostgroups");
    }
    for (_, dashboard) in objects(snapshot, "dashboard") {
        let pages = dashboard.get_mut("pages").and_then(Value::as_array_mut);
        let pages = pages.into_iter().flatten();
        let widgets = pages
            .filter_map(|page| page["widgets"].as_array_mut())
            .flatten();
        widgets.for_each(widget::upgrade);
    }
    roles(snapshot);
    authentication(snapshot, lost);
}

/// The groups that only templates are in become template groups, which the import of the templates makes; rights to them
/// become rights to template groups.
fn groups(snapshot: &mut Snapshot) {
    let templates = named_groups(snapshot, "template", "groups");
    let mut hosts = named_groups(snapshot, "host", "groups");
    for kind in KINDS.iter().filter(|kind| kind.name != "user_group") {
        for (_, object) in objects(snapshot, kind.name) {
            each_reference(kind, object, &mut |reference, value| {
                if let (true, Some(name)) = (reference.to.name == "host group", value.as_str()) {
                    hosts.insert(name.to_owned());
                }
            });
        }
    }
    for prototypes in ["template", "host"] {
        hosts.extend(named_groups(snapshot, prototypes, "group_links"));
    }
    if let Some(kind) = kinds::by_name("host_group")
        && let Some(groups) = snapshot.parts.get_mut(&kind.part())
    {
        groups.retain(|name, _| hosts.contains(name) || !templates.contains(name));
    }
    for (_, group) in objects(snapshot, "user_group") {
        let rights = take(group, "rights");
        let rights = rights
            .as_ref()
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let of = |right: &Value, names: &BTreeSet<String>| {
            right["id"]
                .as_str()
                .is_some_and(|name| names.contains(name))
        };
        let to_templates = |right: &&Value| of(right, &templates);
        let to_hosts = |right: &&Value| of(right, &hosts) || !of(right, &templates);
        group["templategroup_rights"] = rights.clone().filter(to_templates).cloned().collect();
        group["hostgroup_rights"] = rights.filter(to_hosts).cloned().collect();
    }
}

/// The names of all groups in the lists `field` of the exported objects.
fn named_groups(snapshot: &mut Snapshot, kind: &str, field: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, object) in objects(snapshot, kind) {
        collect(object, field, &mut names);
    }
    names
}

fn collect(value: &Value, field: &str, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if name == field {
                    let groups = inner.as_array().into_iter().flatten();
                    let groups = groups.filter_map(|group| {
                        group["name"]
                            .as_str()
                            .or_else(|| group["group"]["name"].as_str())
                    });
                    names.extend(groups.map(str::to_owned));
                }
                collect(inner, field, names);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                collect(element, field, names);
            }
        }
        _ => {}
    }
}

fn proxies(snapshot: &mut Snapshot) {
    for (_, proxy) in objects(snapshot, "proxy") {
        rename(proxy, "host", "name");
        rename(proxy, "proxy_address", "allowed_addresses");
        let passive = take(proxy, "status") == Some(json!("6"));
        proxy["operating_mode"] = json!(if passive { "1" } else { "0" });
        let interface = take(proxy, "interface").unwrap_or_default();
        if passive {
            let address = if interface["useip"] == "1" {
                "ip"
            } else {
                "dns"
            };
            proxy["address"] = interface[address].clone();
            proxy["port"] = interface["port"].clone();
            proxy["allowed_addresses"] = json!("");
        }
    }
}

fn roles(snapshot: &mut Snapshot) {
    /// What one page became.
    const PAGES: [(&str, &[&str]); 2] = [
        (
            "configuration.actions",
            &[
                "configuration.trigger_actions",
                "configuration.discovery_actions",
                "configuration.autoregistration_actions",
                "configuration.internal_actions",
            ],
        ),
        ("services.actions", &["configuration.service_actions"]),
    ];
    if let Some(kind) = kinds::by_name("role")
        && let Some(roles) = snapshot.parts.get_mut(&kind.part())
    {
        // The stock roles of 7.0 know its own pages.
        roles.retain(|name, role| !is_stock(name, role));
    }
    for (_, role) in objects(snapshot, "role") {
        let Some(pages) = role.pointer_mut("/rules/ui").and_then(Value::as_array_mut) else {
            continue;
        };
        for (old, new) in PAGES {
            let Some(place) = pages.iter().position(|page| page["name"] == old) else {
                continue;
            };
            let old = pages.remove(place);
            pages.extend(
                new.iter()
                    .map(|name| json!({"name": name, "status": old["status"]})),
            );
        }
    }
}

/// Whether the role is as 6.0 comes with it.
fn is_stock(name: &str, role: &Value) -> bool {
    let (kind, writes, acts) = match name {
        "User role" => ("1", "0", "1"),
        "Guest role" => ("1", "0", "0"),
        "Admin role" => ("2", "1", "1"),
        // Nobody can change it.
        "Super admin role" => return true,
        _ => return false,
    };
    let rules = &role["rules"];
    let all = |list: &str, status: &str| {
        rules[list]
            .as_array()
            .is_some_and(|switches| switches.iter().all(|switch| switch["status"] == status))
            && rules[format!("{list}.default_access")] == status
    };
    let listed = ["services.read.list", "services.write.list", "api"];
    let tags = ["services.read.tag", "services.write.tag"];
    role["type"] == kind
        && all("ui", "1")
        && all("modules", "1")
        && all("actions", acts)
        && rules["services.read.mode"] == "1"
        && rules["services.write.mode"] == writes
        && rules["api.access"] == acts
        && rules["api.mode"] == "0"
        && listed.iter().all(|list| rules[list] == json!([]))
        && tags.iter().all(|tag| rules[tag]["tag"] == "")
}

/// LDAP and SAML servers moved into user directories.
fn authentication(snapshot: &mut Snapshot, lost: &mut Vec<NotCarried>) {
    for (name, settings) in objects(snapshot, "authentication") {
        let Some(fields) = settings.as_object_mut() else {
            continue;
        };
        let is_old = |field: &str| field.starts_with("ldap_") || field.starts_with("saml_");
        if fields.get("ldap_host").is_some_and(|host| host != "") {
            lose(
                lost,
                "authentication",
                name,
                "its LDAP server, which is a user directory in 7.0",
            );
        }
        if fields.get("saml_idp_entityid").is_some_and(|id| id != "") {
            lose(
                lost,
                "authentication",
                name,
                "its SAML provider, which is a user directory in 7.0",
            );
        }
        fields.retain(|field, _| !is_old(field));
        // Whoever logs in by LDAP does so by a directory.
        if fields
            .get("authentication_type")
            .is_some_and(|kind| kind == "1")
        {
            fields.remove("authentication_type");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::upgrade::tests::{backup, lines, object};
    use crate::config::upgrade::upgrade;
    use crate::zabbix::Version;

    const OLD: Version = Version(6, 0, 0);
    const NEW: Version = Version(7, 0, 0);

    #[test]
    fn ldap_and_saml_settings_are_named_and_all_that_needs_them_stays_behind() {
        let settings = |ldap: &str, saml: &str, kind: &str| {
            json!({"authentication_type": kind, "ldap_host": ldap, "ldap_port": "389", "saml_auth_enabled": "1",
                "saml_idp_entityid": saml, "passwd_min_length": "9"})
        };
        let with = settings("ldap.example.com", "https://idp.example.com", "1");
        let old = backup(OLD, &[("authentication", "authentication", with)]);
        let (desired, lost) = upgrade(&old, NEW);
        assert_eq!(
            lines(&lost),
            [
                "authentication authentication: its LDAP server, which is a user directory in 7.0",
                "authentication authentication: its SAML provider, which is a user directory in 7.0",
            ]
        );
        let left = object(&desired.snapshot, "authentication", "authentication");
        assert_eq!(*left, json!({"passwd_min_length": "9"}));

        let without = settings("", "", "0");
        let old = backup(OLD, &[("authentication", "authentication", without)]);
        let (desired, lost) = upgrade(&old, NEW);
        assert_eq!(lines(&lost), [""; 0]);
        let left = object(&desired.snapshot, "authentication", "authentication");
        assert_eq!(
            *left,
            json!({"authentication_type": "0", "passwd_min_length": "9"})
        );
    }

    /// The User role as 6.0 comes with it, in part.
    fn stock() -> Value {
        let switch = |name: &str| json!({"name": name, "status": "1"});
        let tag = json!({"tag": "", "value": ""});
        json!({"name": "User role", "type": "1", "rules": {
            "ui": [switch("monitoring.hosts"), switch("monitoring.maps")], "ui.default_access": "1",
            "services.read.mode": "1", "services.read.list": [], "services.read.tag": tag,
            "services.write.mode": "0", "services.write.list": [], "services.write.tag": tag,
            "modules": [], "modules.default_access": "1",
            "api.access": "1", "api.mode": "0", "api": [],
            "actions": [switch("edit_maps")], "actions.default_access": "1"}})
    }

    #[test]
    fn a_stock_role_is_carried_once_it_was_changed() {
        let carried = |name: &str, role: Value| {
            let (desired, lost) = upgrade(&backup(OLD, &[("role", name, role)]), NEW);
            assert_eq!(lines(&lost), [""; 0]);
            let roles = desired.snapshot.of_kind(kinds::by_name("role").unwrap());
            roles.unwrap().contains_key(name)
        };
        assert!(!carried("User role", stock()));
        assert!(!carried("Super admin role", json!({"type": "3"})));
        for (place, value) in [
            ("/type", "2"),
            ("/rules/ui/1/status", "0"),
            ("/rules/ui.default_access", "0"),
            ("/rules/services.read.mode", "0"),
            ("/rules/services.write.mode", "1"),
            ("/rules/services.write.tag/tag", "team"),
            ("/rules/api.access", "0"),
            ("/rules/api.mode", "1"),
            ("/rules/actions/0/status", "0"),
        ] {
            let mut role = stock();
            *role.pointer_mut(place).unwrap() = json!(value);
            assert!(carried("User role", role), "{place}");
        }
    }

    #[test]
    fn a_page_that_became_several_opens_them_all() {
        let ui = json!([{"name": "configuration.actions", "status": "0"}, {"name": "monitoring.maps", "status": "1"}]);
        let role = json!({"name": "Own", "type": "2", "rules": {"ui": ui}});
        let (desired, _) = upgrade(&backup(OLD, &[("role", "Own", role)]), NEW);
        let pages = &object(&desired.snapshot, "role", "Own")["rules"]["ui"];
        let page = |name: &str, status: &str| json!({"name": name, "status": status});
        assert_eq!(
            *pages,
            json!([
                page("configuration.autoregistration_actions", "0"),
                page("configuration.discovery_actions", "0"),
                page("configuration.internal_actions", "0"),
                page("configuration.trigger_actions", "0"),
                page("monitoring.maps", "1"),
            ])
        );
    }

    #[test]
    fn groups_of_templates_become_template_groups_with_the_rights_to_them() {
        let group = |name: &str| json!({"name": name});
        let right = |group: &str| json!({"id": group, "permission": "2"});
        let old = backup(
            OLD,
            &[
                ("host_group", "Templates", group("Templates")),
                ("host_group", "Both", group("Both")),
                ("host_group", "Servers", group("Servers")),
                (
                    "template",
                    "t",
                    json!({"template": "t", "groups": [group("Templates"), group("Both")]}),
                ),
                ("host", "h", json!({"host": "h", "groups": [group("Both")]})),
                (
                    "user_group",
                    "g",
                    json!({"name": "g", "rights": [right("Both"), right("Servers"), right("Templates")]}),
                ),
            ],
        );
        let (desired, lost) = upgrade(&old, NEW);
        assert_eq!(lines(&lost), [""; 0]);
        let groups = desired
            .snapshot
            .of_kind(kinds::by_name("host_group").unwrap());
        assert_eq!(
            groups.unwrap().keys().collect::<Vec<_>>(),
            ["Both", "Servers"]
        );
        assert_eq!(
            *object(&desired.snapshot, "user_group", "g"),
            json!({"name": "g", "hostgroup_rights": [right("Both"), right("Servers")],
                "templategroup_rights": [right("Both"), right("Templates")]})
        );
    }

    #[test]
    fn a_proxy_gets_the_fields_of_its_mode() {
        let proxy = |status: &str| {
            json!({"host": "p", "status": status, "proxy_address": "10.0.0.1",
                "interface": {"useip": "0", "ip": "10.0.0.2", "dns": "p.example.com", "port": "10051"}})
        };
        let old = backup(
            OLD,
            &[("proxy", "a", proxy("5")), ("proxy", "p", proxy("6"))],
        );
        let (desired, _) = upgrade(&old, NEW);
        assert_eq!(
            *object(&desired.snapshot, "proxy", "a"),
            json!({"name": "p", "operating_mode": "0", "allowed_addresses": "10.0.0.1"})
        );
        assert_eq!(
            *object(&desired.snapshot, "proxy", "p"),
            json!({"name": "p", "operating_mode": "1", "allowed_addresses": "", "address": "p.example.com", "port": "10051"})
        );
    }
}
