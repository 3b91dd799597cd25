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
    let stock = ["Admin role", "Guest role", "Super admin role", "User role"];
    if let Some(kind) = kinds::by_name("role")
        && let Some(roles) = snapshot.parts.get_mut(&kind.part())
    {
        // The stock roles of 7.0 know its own pages.
        roles.retain(|name, _| !stock.contains(&name.as_str()));
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
    }
}
