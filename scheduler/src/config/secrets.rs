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

/// The entries of the file that lists them.
pub fn listed(file: &[u8]) -> Vec<Missing> {
    serde_json::from_slice(file).unwrap_or_default()
}

/// Parts what restores made up, which is nowhere else, from what the backup lacks.
pub fn made_up(listed: Vec<Missing>) -> (Vec<Missing>, Vec<Missing>) {
    listed
        .into_iter()
        .partition(|one| matches!(one.state, State::Generated(_)))
}

/// Adds to the list; of two entries on one secret the new one holds.
pub fn add(mut listed: Vec<Missing>, new: Vec<Missing>) -> Vec<Missing> {
    let same =
        |a: &Missing, b: &Missing| (&a.kind, &a.name, &a.field) == (&b.kind, &b.name, &b.field);
    listed.retain(|old| !new.iter().any(|new| same(old, new)));
    listed.extend(new);
    listed.sort();
    listed
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
const PAIRS: &[&str] = &[
    "parameters",
    "headers",
    "variables",
    "query_fields",
    "posts",
];

static PRIVATE_KEY: LazyLock<Regex> =
    LazyLock::new(|| pattern("-----BEGIN [A-Z ]*PRIVATE KEY-----"));
// {$USER}, {#DISCOVERED}, {BUILT.IN} and {{FUNCTION}.of()}; `Bearer {$TOKEN}` as well.
static MACRO: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\w+ )?\{[{$#A-Z].*\}$"));
// A place to fill in; how a scenario finds the value in a page; a scenario's variable.
static NO_VALUE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^<.*>$|^(regex|jsonpath|xmlpath):|^(\w+ )?\{\w+\}$"));
static SPEAKING_NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern("(?i)token|secret|passw|(api|access)[_-]?key|authorization"));

fn pattern(text: &str) -> Regex {
    // The patterns are constants of this file, and its tests compile each.
    Regex::new(text).expect("a valid constant pattern")
}

/// Takes the secrets out of an object and tells where they were.
pub fn leave_out(object: &mut Value) -> Vec<String> {
    leave_out_of_part(object, "")
}

/// The same for a part of an object: a list of this name, or an element of it.
pub fn leave_out_of_part(part: &mut Value, list: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(part, list, "", &mut |fields, list, place| {
        let secrets = fields.keys().filter(|field| is_secret(list, fields, field));
        for field in secrets.cloned().collect::<Vec<_>>() {
            if fields.remove(&field).is_some_and(|secret| secret != "") {
                found.push(inside(place, &field));
            }
        }
    });
    found
}

/// Tells where an object of this kind has a secret that the API keeps to itself.
pub fn unreadable(kind: &str, object: &mut Value) -> Vec<String> {
    let mut found = Vec::new();
    // Nobody logs in as guest with a password.
    if kind == "user" && label(object) != "guest" {
        found.push("passwd".to_owned());
    }
    walk(object, "", "", &mut |fields, _, place| {
        let text = |field: &str| fields.get(field).and_then(Value::as_str);
        if is_secret_macro(fields) {
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

/// Whether the field of an object in this list must not lie in a file. A macro is no secret, for its value is elsewhere.
pub fn is_secret(list: &str, fields: &Map<String, Value>, field: &str) -> bool {
    let Some(value) = fields.get(field).and_then(Value::as_str) else {
        return false;
    };
    if PRIVATE_KEY.is_match(value) {
        return true;
    }
    // Written by somebody into the file: the API tells it to nobody.
    if field == "value" && is_secret_macro(fields) {
        return true;
    }
    if MACRO.is_match(value) {
        return false;
    }
    if field == "value" && PAIRS.contains(&list) {
        let name = fields.get("name").and_then(Value::as_str);
        return name.is_some_and(|name| SPEAKING_NAME.is_match(name)) && !NO_VALUE.is_match(value);
    }
    FIELDS.contains(&field)
}

/// Whether it is a macro of the type "secret text", in an export or in what the other methods answer.
fn is_secret_macro(fields: &Map<String, Value>) -> bool {
    let kind = fields.get("type").and_then(Value::as_str);
    fields.contains_key("macro") && matches!(kind, Some("SECRET_TEXT" | "1"))
}

type Visitor<'a> = dyn FnMut(&mut Map<String, Value>, &str, &str) + 'a;

/// Calls `act` with each object inside, the list or field that holds it, and where that is.
fn walk(value: &mut Value, list: &str, place: &str, act: &mut Visitor) {
    match value {
        Value::Object(fields) => {
            act(fields, list, place);
            for (field, inner) in fields.iter_mut() {
                if inner.is_object() || inner.is_array() {
                    walk(inner, field, &inside(place, field), act);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                if element.is_object() || element.is_array() {
                    let place = format!("{place}[{}]", label(element));
                    walk(element, list, &place, act);
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
        assert_eq!(unreadable("host", &mut host()), ["macros[{$S}]/value"]);
        assert_eq!(
            unreadable(
                "host_encryption",
                &mut json!({"tls_connect": "2", "tls_accept": "1"})
            ),
            ["tls_psk"]
        );
        assert_eq!(
            unreadable(
                "host_encryption",
                &mut json!({"tls_connect": "1", "tls_accept": "3"})
            ),
            ["tls_psk"]
        );
        assert!(
            unreadable(
                "host_encryption",
                &mut json!({"tls_connect": "4", "tls_accept": "4"})
            )
            .is_empty()
        );
    }

    #[test]
    fn passwords_of_users_are_named() {
        let mut users = json!([{"username": "Admin"}, {"alias": "otto"}, {"username": "guest"}]);
        let users = users.as_array_mut().unwrap().iter_mut();
        let found: Vec<_> = users.map(|user| unreadable("user", user).len()).collect();
        assert_eq!(found, [1, 1, 0]);
    }

    #[test]
    fn secrets_of_scenarios_and_media_types_are_left_out() {
        let pair = |name: &str, value: &str| json!({"name": name, "value": value});
        let mut object = json!({
            "httptests": [{"name": "w", "variables": [
                pair("{password}", "hidden"), pair("{token}", "regex:t=(.*)"), pair("{user}", "open")],
                "steps": [{"name": "s",
                    "posts": [pair("user[password]", "hidden"), pair("password", "{password}")],
                    "query_fields": [pair("access_key", "hidden"), pair("page", "1")],
                    "headers": [pair("Authorization", "Bearer {token}")]}]}],
            "items": [{"key": "a", "posts": "raw"}],
            "parameters": [pair("redmine_access_key", "hidden"), pair("jira_issue_key", "open")],
        });
        assert_eq!(
            leave_out(&mut object),
            [
                "httptests[w]/steps[s]/posts[user[password]]/value",
                "httptests[w]/steps[s]/query_fields[access_key]/value",
                "httptests[w]/variables[{password}]/value",
                "parameters[redmine_access_key]/value"
            ]
        );
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
