//! The fields of templates and hosts themselves, written by update. An import writes them too, and blanks every secret
//! macro that its document has no value of; hardly any has, for the API tells nobody. An update leaves such a value alone.

use serde_json::{Map, Value, json};

use super::import::list;
use super::kind::Kind;
use super::kinds::{HOST_GROUP, PROXY, PROXY_GROUP, TEMPLATE, TEMPLATE_GROUP};
use super::names::Names;
use super::normal::{Dangling, id_of};
use crate::zabbix::{Request, Version, dialect};

/// A field, what it is where an export leaves it out, and the numbers behind the words that an export has for them.
type Field = (&'static str, &'static str, &'static str);

const TEMPLATE_FIELDS: &[Field] = &[("description", "", "")];

const HOST_FIELDS: &[Field] = &[
    ("description", "", ""),
    ("status", "ENABLED", "ENABLED=0 DISABLED=1"),
    (
        "ipmi_authtype",
        "DEFAULT",
        "DEFAULT=-1 NONE=0 MD2=1 MD5=2 STRAIGHT=4 OEM=5 RMCP_PLUS=6",
    ),
    (
        "ipmi_privilege",
        "USER",
        "CALLBACK=1 USER=2 OPERATOR=3 ADMIN=4 OEM=5",
    ),
    ("ipmi_username", "", ""),
    ("ipmi_password", "", ""),
];

const INVENTORY_MODE: Field = (
    "inventory_mode",
    "MANUAL",
    "DISABLED=-1 MANUAL=0 AUTOMATIC=1",
);

const MONITORED_BY: Field = ("monitored_by", "SERVER", "SERVER=0 PROXY=1 PROXY_GROUP=2");

const MACRO_FIELDS: &[Field] = &[
    ("macro", "", ""),
    ("type", "TEXT", "TEXT=0 SECRET_TEXT=1 VAULT=2"),
    ("description", "", ""),
];

/// Up to 5.2; later versions export no encryption.
const ENCRYPTION_FIELDS: &[Field] = &[
    ("tls_connect", "NO_ENCRYPTION", ENCRYPTION),
    ("tls_issuer", "", ""),
    ("tls_subject", "", ""),
    ("tls_psk_identity", "", ""),
    ("tls_psk", "", ""),
];

const ENCRYPTION: &str = "NO_ENCRYPTION=1 TLS_PSK=2 TLS_CERTIFICATE=4";

const MAIN: Field = ("default", "YES", "NO=0 YES=1");

const INTERFACE_FIELDS: &[Field] = &[
    ("type", "ZABBIX", "ZABBIX=1 SNMP=2 IPMI=3 JMX=4"),
    ("useip", "YES", "NO=0 YES=1"),
    ("ip", "127.0.0.1", ""),
    ("dns", "", ""),
    ("port", "10050", ""),
];

const SNMP_FIELDS: &[Field] = &[
    ("version", "SNMPV2", "SNMPV1=1 SNMPV2=2 SNMPV3=3"),
    ("bulk", "YES", "NO=0 YES=1"),
    ("community", "", ""),
    ("contextname", "", ""),
    ("securityname", "", ""),
    (
        "securitylevel",
        "NOAUTHNOPRIV",
        "NOAUTHNOPRIV=0 AUTHNOPRIV=1 AUTHPRIV=2",
    ),
    (
        "authprotocol",
        "MD5",
        "MD5=0 SHA=1 SHA1=1 SHA224=2 SHA256=3 SHA384=4 SHA512=5",
    ),
    ("authpassphrase", "", ""),
    (
        "privprotocol",
        "DES",
        "DES=0 AES=1 AES128=1 AES192=2 AES256=3 AES192C=4 AES256C=5",
    ),
    ("privpassphrase", "", ""),
];

const MAX_REPETITIONS: Field = ("max_repetitions", "10", "");

/// Whether the template or host has a secret macro that an import would blank.
pub fn has_unknown_secret(object: &Value) -> bool {
    list(object, "macros")
        .iter()
        .any(|own| value((&MACRO_FIELDS[1], own)) == "1" && own.get("value").is_none())
}

/// Whether host prototypes have one that an import need not blank: none of the discovery rules that are there differs.
pub fn has_unknown_secret_prototypes(desired: &Value, observed: &Value) -> bool {
    let rules = list(desired, "discovery_rules");
    let theirs = list(observed, "discovery_rules");
    let is_same = |rule: &Value| {
        let mut theirs = theirs.iter();
        let there = theirs.find(|other| other["key"] == rule["key"]);
        there.is_none_or(|there| there == rule)
    };
    let prototypes = rules.iter().flat_map(|rule| list(rule, "host_prototypes"));
    prototypes.into_iter().any(has_unknown_secret) && rules.iter().all(is_same)
}

/// Asks for the ids of what the objects hold, without which update would make it anew.
pub fn ids_inside(kind: &Kind, ids: &[&String]) -> Request {
    let target = kind.target();
    let mut params = json!({
        "output": [target.id],
        (format!("{}s", target.id)): ids,
        "selectMacros": ["hostmacroid", "macro"],
    });
    if kind.name == "host" {
        params["selectInterfaces"] = json!("extend");
    }
    Request::new(format!("{}.get", target.api), params)
}

/// What update takes to make the object's own fields like `desired`: those that differ, if any. `inside` is what
/// [`ids_inside`] was answered.
pub fn update(
    kind: &Kind,
    desired: &Value,
    observed: &Value,
    inside: &Value,
    names: &Names,
    version: Version,
    unlink: bool,
) -> Result<Option<Value>, Dangling> {
    let differs = |field: &str| desired.get(field) != observed.get(field);
    let of_template = kind.name == "template";
    let mut update = Map::new();
    let mut set = |field: &str, value: Value| {
        update.insert(field.to_owned(), value);
    };
    let name = &desired[kind.name];
    if differs(kind.name) {
        set("host", name.clone());
    }
    if differs("name") {
        set("name", desired.get("name").unwrap_or(name).clone());
    }
    let fields = if of_template {
        TEMPLATE_FIELDS
    } else {
        HOST_FIELDS
    };
    for field in fields.iter().filter(|field| differs(field.0)) {
        set(field.0, value((field, desired)));
    }
    if let (true, Some(uuid)) = (differs("uuid"), desired.get("uuid")) {
        set("uuid", uuid.clone());
    }
    if differs("vendor") {
        set(
            "vendor_name",
            value((&("name", "", ""), &desired["vendor"])),
        );
        set(
            "vendor_version",
            value((&("version", "", ""), &desired["vendor"])),
        );
    }
    if differs("groups") {
        let target = if of_template && dialect::template_groups(version) {
            &TEMPLATE_GROUP
        } else {
            &HOST_GROUP
        };
        let ids = list(desired, "groups")
            .iter()
            .map(|group| Ok(json!({"groupid": id_of(names, "groups", target, &group["name"])?})));
        set("groups", ids.collect::<Result<_, Dangling>>()?);
    }
    if differs("tags") {
        set("tags", json!(list(desired, "tags")));
    }
    if differs("macros") {
        set("macros", macros(desired, inside));
    }
    if differs("interfaces") {
        set("interfaces", interfaces(desired, inside, version));
    }
    if differs("inventory_mode") || differs("inventory") {
        let mode = value((&INVENTORY_MODE, desired));
        if mode != "-1" {
            set("inventory", inventory(desired, observed));
        }
        set("inventory_mode", mode);
    }
    if ["monitored_by", "proxy", "proxy_group"]
        .into_iter()
        .any(differs)
    {
        let proxy = |field: &'static str, target| match desired.get(field) {
            Some(proxy) => id_of(names, field, target, &proxy["name"]).map(|id| json!(id)),
            None => Ok(json!("0")),
        };
        if version < Version(7, 0, 0) {
            set("proxy_hostid", proxy("proxy", &PROXY)?);
        } else {
            // Older versions knew proxies alone.
            let by_proxy = desired.get("monitored_by").is_none() && desired.get("proxy").is_some();
            let monitored_by = if by_proxy {
                json!("1")
            } else {
                value((&MONITORED_BY, desired))
            };
            set("monitored_by", monitored_by);
            set("proxyid", proxy("proxy", &PROXY)?);
            set("proxy_groupid", proxy("proxy_group", &PROXY_GROUP)?);
        }
    }
    let encryption = ENCRYPTION_FIELDS.iter().map(|field| field.0);
    if dialect::exports_psk(version) && encryption.chain(["tls_accept"]).any(&differs) {
        for field in ENCRYPTION_FIELDS {
            set(field.0, value((field, desired)));
        }
        set("tls_accept", json!(accepted(desired).to_string()));
    }
    if unlink {
        let linked = list(desired, "templates");
        let gone = list(observed, "templates")
            .iter()
            .filter(|template| !linked.contains(template))
            .map(|template| {
                Ok(json!({"templateid": id_of(names, "templates", &TEMPLATE, &template["name"])?}))
            })
            .collect::<Result<Vec<_>, Dangling>>()?;
        if !gone.is_empty() {
            set("templates_clear", json!(gone));
        }
    }
    if update.is_empty() {
        return Ok(None);
    }
    let id = kind.target().id;
    update.insert(id.to_owned(), inside[id].clone());
    Ok(Some(Value::Object(update)))
}

/// A field as update takes it.
fn value(((field, default, words), object): (&Field, &Value)) -> Value {
    let text = object
        .get(*field)
        .and_then(Value::as_str)
        .unwrap_or(default);
    let mut words = words.split(' ').filter_map(|word| word.split_once('='));
    json!(
        words
            .find(|(word, _)| *word == text)
            .map_or(text, |(_, number)| number)
    )
}

/// The ways that a host may connect by, as the sum of their numbers.
fn accepted(host: &Value) -> u64 {
    let number = |mode: &Value| {
        let word = json!({"mode": mode});
        value((&("mode", "", ENCRYPTION), &word))
            .as_str()
            .and_then(|number| number.parse::<u64>().ok())
    };
    let modes = list(host, "tls_accept").iter().filter_map(number);
    match modes.sum() {
        0 => 1,
        sum => sum,
    }
}

fn values(fields: &[Field], object: &Value) -> Value {
    let values = fields
        .iter()
        .map(|field| (field.0.to_owned(), value((field, object))));
    Value::Object(values.collect())
}

/// A macro keeps its id and, where nothing else is said, its value.
fn macros(desired: &Value, inside: &Value) -> Value {
    let macros = list(desired, "macros").iter().map(|own| {
        let mut object = values(MACRO_FIELDS, own);
        let there = list(inside, "macros")
            .iter()
            .find(|there| there["macro"] == own["macro"]);
        if let Some(there) = there {
            object["hostmacroid"] = there["hostmacroid"].clone();
        }
        if there.is_none() || object["type"] != "1" || own.get("value").is_some() {
            object["value"] = value((&("value", "", ""), own));
        }
        object
    });
    macros.collect()
}

/// Interfaces keep their ids, for items use them: the main one of a type its own, others that of one just like them.
fn interfaces(desired: &Value, inside: &Value, version: Version) -> Value {
    let mut objects: Vec<Value> = Vec::new();
    for interface in list(desired, "interfaces") {
        let mut object = values(INTERFACE_FIELDS, interface);
        object["main"] = value((&MAIN, interface));
        if object["type"] == "2" {
            let details = &interface["details"];
            object["details"] = values(SNMP_FIELDS, details);
            if version >= Version(6, 4, 0) {
                object["details"]["max_repetitions"] = value((&MAX_REPETITIONS, details));
            }
        }
        objects.push(object);
    }
    for (main, same) in [
        (true, &["main", "type"] as &[&str]),
        (false, &["type", "useip", "ip", "dns", "port"]),
    ] {
        for index in 0..objects.len() {
            let object = &objects[index];
            if object.get("interfaceid").is_some() || (main && object["main"] != "1") {
                continue;
            }
            let taken = |id: &Value| objects.iter().any(|other| other["interfaceid"] == *id);
            let there = list(inside, "interfaces").iter().find(|there| {
                same.iter().all(|field| there[field] == object[field])
                    && !taken(&there["interfaceid"])
            });
            if let Some(there) = there {
                objects[index]["interfaceid"] = there["interfaceid"].clone();
            }
        }
    }
    json!(objects)
}

/// What the backup does not name becomes empty.
fn inventory(desired: &Value, observed: &Value) -> Value {
    let fields = |object: &Value| object["inventory"].as_object().cloned().unwrap_or_default();
    let mut inventory = fields(observed);
    inventory.values_mut().for_each(|field| *field = json!(""));
    inventory.append(&mut fields(desired));
    Value::Object(inventory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::kinds;

    const V6: Version = Version(6, 0, 0);
    const V7: Version = Version(7, 0, 0);

    fn update_of(desired: &Value, observed: &Value, inside: &Value, version: Version) -> Value {
        let mut names = Names::default();
        names.add(&HOST_GROUP, "4".into(), json!("g"));
        names.add(&PROXY, "5".into(), json!("p"));
        names.add(&TEMPLATE, "6".into(), json!("t"));
        let kind = kinds::by_name("host").unwrap();
        let update = update(kind, desired, observed, inside, &names, version, true);
        update.unwrap().unwrap_or_default()
    }

    #[test]
    fn encryption_is_a_hosts_own_where_exports_have_it() {
        let ours = json!({"host": "h", "tls_accept": ["TLS_PSK", "TLS_CERTIFICATE"], "tls_connect": "TLS_PSK",
            "tls_psk_identity": "i", "tls_psk": "k"});
        let theirs = json!({"host": "h"});
        let inside = json!({"hostid": "7", "macros": [], "interfaces": []});
        assert_eq!(
            update_of(&ours, &theirs, &inside, Version(5, 0, 0)),
            json!({"hostid": "7", "tls_accept": "6", "tls_connect": "2", "tls_issuer": "", "tls_subject": "",
                "tls_psk_identity": "i", "tls_psk": "k"})
        );
        assert_eq!(
            update_of(&theirs, &ours, &inside, Version(5, 0, 0))["tls_accept"],
            "1"
        );
    }

    #[test]
    fn what_is_the_same_is_not_written() {
        let host = json!({"host": "h", "macros": [{"macro": "{$S}", "type": "SECRET_TEXT"}], "items": [{"key": "a"}]});
        let mut other = host.clone();
        other["items"] = json!([]);
        assert_eq!(update_of(&host, &other, &json!({}), V6), Value::Null);
    }

    #[test]
    fn a_secret_macro_without_a_value_keeps_its_own() {
        let secret = |description: &str| json!({"macro": "{$S}", "type": "SECRET_TEXT", "description": description});
        let desired = json!({"host": "h", "macros": [
            secret("new"), {"macro": "{$T}", "value": "t"}, {"macro": "{$U}", "type": "SECRET_TEXT"}]});
        assert!(has_unknown_secret(&desired));
        let observed = json!({"host": "h", "macros": [secret("old")]});
        let inside = json!({"hostid": "1", "macros": [{"hostmacroid": "2", "macro": "{$S}"}]});
        assert_eq!(
            update_of(&desired, &observed, &inside, V6),
            json!({"hostid": "1", "macros": [
                {"hostmacroid": "2", "macro": "{$S}", "type": "1", "description": "new"},
                {"macro": "{$T}", "type": "0", "description": "", "value": "t"},
                {"macro": "{$U}", "type": "1", "description": "", "value": ""},
            ]})
        );
    }

    #[test]
    fn words_become_numbers_and_what_an_export_leaves_out_its_default() {
        let desired = json!({"host": "h", "groups": [{"name": "g"}], "proxy": {"name": "p"}, "ipmi_authtype": "MD5",
            "inventory": {"os": "Linux"}});
        let observed = json!({"host": "h", "name": "visible", "status": "DISABLED", "description": "d", "tags": [{"tag": "a"}],
            "inventory_mode": "AUTOMATIC", "inventory": {"alias": "a"}, "templates": [{"name": "t"}]});
        let own = json!({"hostid": "1", "name": "h", "status": "0", "description": "", "ipmi_authtype": "2", "tags": [],
            "groups": [{"groupid": "4"}], "inventory_mode": "0", "inventory": {"os": "Linux", "alias": ""},
            "templates_clear": [{"templateid": "6"}]});
        for (version, proxy) in [
            (V6, json!({"proxy_hostid": "5"})),
            (
                V7,
                json!({"monitored_by": "1", "proxyid": "5", "proxy_groupid": "0"}),
            ),
        ] {
            let mut expected = own.clone();
            for (field, value) in proxy.as_object().unwrap() {
                expected[field] = value.clone();
            }
            let inside = json!({"hostid": "1"});
            assert_eq!(update_of(&desired, &observed, &inside, version), expected);
        }
    }

    #[test]
    fn interfaces_keep_the_ids_that_items_use() {
        let desired = json!({"host": "h", "interfaces": [
            {"default": "NO", "ip": "10.0.0.2"},
            {"ip": "10.0.0.3"},
            {"type": "SNMP", "details": {"version": "SNMPV3", "authprotocol": "SHA512"}}]});
        let there = |id: &str, main: &str, ip: &str| json!({"interfaceid": id, "main": main, "type": "1", "useip": "1", "ip": ip, "dns": "", "port": "10050"});
        let inside = json!({"hostid": "1", "interfaces": [there("7", "1", "10.0.0.1"), there("8", "0", "10.0.0.2")]});
        let update = update_of(&desired, &json!({"host": "h"}), &inside, V7);
        let interfaces = &update["interfaces"];
        assert_eq!(interfaces[0]["interfaceid"], "8");
        assert_eq!(interfaces[1]["interfaceid"], "7");
        assert_eq!(interfaces[2].get("interfaceid"), None);
        let details = &interfaces[2]["details"];
        assert_eq!(
            (&details["version"], &details["authprotocol"]),
            (&json!("3"), &json!("5"))
        );
        assert_eq!(details["max_repetitions"], "10");
    }
}
