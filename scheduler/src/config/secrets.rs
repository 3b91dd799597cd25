//! What must not lie in files: found, left out, listed, and filled in again from what the server has.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::normal::label;

/// A secret that a backup does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Missing {
    /// The kind of the object.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where in the object.
    pub field: String,
    /// Why it is missing, or what it is now.
    #[serde(flatten)]
    pub state: State,
}

/// Why a secret is missing, or what it is now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "value")]
pub enum State {
    /// The API tells nobody.
    Unreadable,
    /// Left out: the backup was made without secrets.
    LeftOut,
    /// The restore made one up.
    Generated(String),
}

/// Fields that hold secrets by their very name.
pub const FIELDS: &[&str] = &[
    "password",
    "passwd",
    "http_password",
    "ipmi_password",
    "ssl_key_password",
    "authpassphrase",
    "privpassphrase",
    "snmpv3_authpassphrase",
    "snmpv3_privpassphrase",
    "ldap_bind_password",
    "bind_password",
    "client_secret",
    "token",
    "tls_psk",
];

/// Lists of names and values, of which the names tell whether the values are secret.
const PAIRS: &[&str] = &["parameters", "headers"];

static PRIVATE_KEY: LazyLock<Regex> =
    LazyLock::new(|| pattern("-----BEGIN [A-Z ]*PRIVATE KEY-----"));
// {$USER}, {#DISCOVERED}, {BUILT.IN} and {{FUNCTION}.of()}; `Bearer {$TOKEN}` as well.
static MACRO: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\w+ )?\{[{$#A-Z].*\}$"));
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| pattern("^<.*>$"));
static SPEAKING_NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern("(?i)token|secret|passw|api_?key|authorization"));

fn pattern(text: &str) -> Regex {
    // The patterns are constants of this file, and its tests compile each.
    Regex::new(text).expect("a valid constant pattern")
}

/// Takes the secrets out of an object and tells where they were.
pub fn leave_out(object: &mut Value) -> Vec<String> {
    leave_out_of_part(object, "")
}

/// The same for a part of an object, which lies at `place`.
pub fn leave_out_of_part(part: &mut Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(part, place, &mut |fields, place| {
        let list = list_around(place);
        let secrets = fields.keys().filter(|field| is_secret(list, fields, field));
        for field in secrets.cloned().collect::<Vec<_>>() {
            if fields.remove(&field).is_some_and(|secret| secret != "") {
                found.push(inside(place, &field));
            }
        }
    });
    found
}

/// Tells where an object has a secret that the API keeps to itself.
pub fn unreadable(object: &mut Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(object, "", &mut |fields, place| {
        let text = |field: &str| fields.get(field).and_then(Value::as_str);
        if fields.contains_key("macro") && matches!(text("type"), Some("SECRET_TEXT" | "1")) {
            found.push(inside(place, "value"));
        }
        let accepted = text("tls_accept").and_then(|mode| mode.parse::<u8>().ok());
        if text("tls_connect") == Some("2") || accepted.is_some_and(|mode| mode & 2 != 0) {
            found.push("tls_psk".to_owned());
        }
    });
    found.dedup();
    found
}

/// Gives `desired` the secrets that it lacks and `observed` has, so that an update does not blank them.
pub fn fill_in(desired: &mut Value, observed: &Value) {
    fill_in_list("", desired, observed);
}

/// Gives pairs whose value was left out another one, without which Zabbix does not take them: of headers no empty one.
pub fn blank(object: &mut Value) {
    match object {
        Value::Object(fields) => {
            for (field, inner) in fields {
                if let Value::Array(pairs) = inner
                    && PAIRS.contains(&field.as_str())
                {
                    for pair in pairs.iter_mut().filter_map(Value::as_object_mut) {
                        if pair.len() == 1 && pair.contains_key("name") {
                            let value = if field == "headers" { "missing" } else { "" };
                            pair.insert("value".to_owned(), Value::String(value.to_owned()));
                        }
                    }
                }
                blank(inner);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(blank),
        _ => {}
    }
}

fn fill_in_list(list: &str, desired: &mut Value, observed: &Value) {
    match (desired, observed) {
        (Value::Object(desired), Value::Object(observed)) => {
            for (field, value) in observed {
                match desired.get_mut(field) {
                    Some(inner) => fill_in_list(field, inner, value),
                    None => {
                        if is_secret(list, observed, field) {
                            desired.insert(field.clone(), value.clone());
                        }
                    }
                }
            }
        }
        (Value::Array(desired), Value::Array(observed)) => {
            for element in desired {
                let name = label(element);
                let same = observed.iter().find(|other| label(other) == name);
                if let Some(same) = same {
                    fill_in_list(list, element, same);
                }
            }
        }
        _ => {}
    }
}

/// The list that holds the object whose field lies at `place`.
pub fn list_around(place: &str) -> &str {
    let list = place.rsplit_once('[').map_or("", |(list, _)| list);
    list.rsplit('/').next().unwrap_or_default()
}

/// Whether the field of an object in this list must not lie in a file. A macro is no secret, for its value is elsewhere.
pub fn is_secret(list: &str, fields: &Map<String, Value>, field: &str) -> bool {
    let Some(value) = fields.get(field).and_then(Value::as_str) else {
        return false;
    };
    if PRIVATE_KEY.is_match(value) {
        return true;
    }
    if MACRO.is_match(value) {
        return false;
    }
    if field == "value" && PAIRS.contains(&list) {
        let name = fields.get("name").and_then(Value::as_str);
        return name.is_some_and(|name| SPEAKING_NAME.is_match(name))
            && !PLACEHOLDER.is_match(value);
    }
    FIELDS.contains(&field)
}

type Visitor<'a> = dyn FnMut(&mut Map<String, Value>, &str) + 'a;

/// Calls `act` with each object inside, and where that is.
fn walk(value: &mut Value, place: &str, act: &mut Visitor) {
    match value {
        Value::Object(fields) => {
            act(fields, place);
            for (field, inner) in fields.iter_mut() {
                if inner.is_object() || inner.is_array() {
                    walk(inner, &inside(place, field), act);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                if element.is_object() || element.is_array() {
                    let place = format!("{place}[{}]", label(element));
                    walk(element, &place, act);
                }
            }
        }
        _ => {}
    }
}

/// The place of a field of the object at `place`.
fn inside(place: &str, field: &str) -> String {
    match place {
        "" => field.to_owned(),
        place => format!("{place}/{field}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn host() -> Value {
        json!({
            "host": "web",
            "ipmi_password": "hidden",
            "inventory": {"alias": "web", "notes": "-----BEGIN RSA PRIVATE KEY-----\nx"},
            "items": [
                {"key": "a", "password": "hidden"},
                {"key": "b", "password": "{$PASSWORD}"},
                {"key": "c", "password": ""},
            ],
            "parameters": [{"name": "token", "value": "hidden"}, {"name": "token2", "value": "<PUT YOUR TOKEN>"}],
            "macros": [{"macro": "{$S}", "type": "SECRET_TEXT"}, {"macro": "{$T}", "value": "plain"}],
        })
    }

    #[test]
    fn secrets_are_left_out_and_listed_and_macros_stay() {
        let mut object = host();
        let mut found = leave_out(&mut object);
        found.sort();
        assert_eq!(
            found,
            [
                "inventory/notes",
                "ipmi_password",
                "items[a]/password",
                "parameters[token]/value"
            ]
        );
        assert!(!object.to_string().contains("hidden"));
        assert!(!object.to_string().contains("PRIVATE KEY"));
        assert_eq!(object["items"][1]["password"], "{$PASSWORD}");
        assert_eq!(object["parameters"][1]["value"], "<PUT YOUR TOKEN>");
    }

    #[test]
    fn what_was_left_out_is_filled_in_from_the_server() {
        let mut desired = host();
        leave_out(&mut desired);
        fill_in(&mut desired, &host());
        assert_eq!(desired, host());
    }

    #[test]
    fn a_pair_without_its_value_gets_one_that_zabbix_takes() {
        let mut desired = host();
        leave_out(&mut desired);
        blank(&mut desired);
        assert_eq!(
            desired["parameters"][0],
            json!({"name": "token", "value": ""})
        );
        let mut headers = json!({"headers": [{"name": "Authorization", "value": "Bearer hidden"}]});
        leave_out(&mut headers);
        blank(&mut headers);
        let header = json!({"name": "Authorization", "value": "missing"});
        assert_eq!(headers["headers"], json!([header]));
        assert_eq!(leave_out(&mut headers), ["headers[Authorization]/value"]);
    }

    #[test]
    fn a_header_whose_token_is_a_macro_is_no_secret() {
        let header = json!({"headers": [{"name": "Authorization", "value": "Bearer {$TOKEN}"}]});
        let mut object = header.clone();
        assert!(leave_out(&mut object).is_empty());
        assert_eq!(object, header);
    }

    #[test]
    fn a_secret_that_the_backup_holds_is_not_replaced() {
        let mut desired = json!({"ipmi_password": "new"});
        fill_in(&mut desired, &host());
        assert_eq!(desired["ipmi_password"], "new");
    }

    #[test]
    fn what_the_api_keeps_to_itself_is_named() {
        assert_eq!(unreadable(&mut host()), ["macros[{$S}]/value"]);
        assert_eq!(
            unreadable(&mut json!({"tls_connect": "2", "tls_accept": "1"})),
            ["tls_psk"]
        );
        assert_eq!(
            unreadable(&mut json!({"tls_connect": "1", "tls_accept": "3"})),
            ["tls_psk"]
        );
        assert!(unreadable(&mut json!({"tls_connect": "4", "tls_accept": "4"})).is_empty());
    }
    #[test]
    fn braces_alone_make_no_macro_of_a_secret() {
        for (value, secrets) in [
            ("Bearer {$TOKEN}", 0),
            ("{ALERT.SENDTO}", 0),
            ("word {pass}", 1),
            ("{pass}", 1),
        ] {
            let mut item = json!({"key": "a", "password": value});
            assert_eq!(leave_out(&mut item).len(), secrets, "{value}");
        }
    }
}
