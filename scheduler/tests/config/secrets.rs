//! Secrets: listed where they are left out, and carried where they are asked for.

use std::fs;
use std::path::Path;

use lab::Version;
use serde_json::{Value, json};

use crate::SMALL;
use crate::command::{backup, restore, scheduler, stderr, text};
use crate::population::populate;
use crate::round_trip::{nothing_to_do, same_folders};
use crate::server::Server;

/// 7.0 leaves passwords out of its exports, and tells them to whoever asks for the items themselves.
#[test]
fn secrets_that_7_0_does_not_export_are_listed_or_carried_all_the_same() {
    let server = Server::start(Version::V7_0);
    server.strip();
    populate(server.api(), Version::V7_0, SMALL);
    let dirs = tempfile::tempdir().expect("a folder");
    let (without, with) = (dirs.path().join("without"), dirs.path().join("with"));
    backup(server.address(), &without, &[]);
    backup(server.address(), &with, &["--with-secrets"]);
    let read =
        |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).expect("a file of the backup");

    let missing: Vec<Value> =
        serde_json::from_str(&read(&without, "secrets-missing.json")).expect("a list");
    for (kind, name, field) in [
        ("template", "template 00", "items[page]/password"),
        (
            "template",
            "template 00",
            "httptests[front page]/http_password",
        ),
        (
            "template",
            "template 00",
            "httptests[front page]/variables[{password}]/value",
        ),
        ("media_type", "Own mail", "password"),
        ("user", "otto", "passwd"),
    ] {
        let state = match kind {
            "user" => "unreadable",
            _ => "left_out",
        };
        let listed = json!({"kind": kind, "name": name, "field": field, "state": state});
        assert!(
            missing.contains(&listed),
            "{listed} is not among {missing:#?}"
        );
    }
    let secrets = [
        "item password",
        "scenario password",
        "variable password",
        "mail password",
    ];
    let files = read(&without, "templates.json") + &read(&without, "mediatypes.json");
    assert!(secrets.iter().all(|secret| !files.contains(secret)));
    assert!(files.contains("{$JMX.PASSWORD}"), "a macro is no secret");
    let files = read(&with, "templates.json") + &read(&with, "mediatypes.json");
    assert!(secrets.iter().all(|secret| files.contains(secret)));

    // What somebody fills in is set, and shown to nobody.
    let mut macros: Value = serde_json::from_str(&read(&with, "macros.json")).expect("a list");
    let listed = macros.as_array_mut().expect("a list").iter_mut();
    for hidden in listed.filter(|other| other["macro"] == "{$HIDDEN}") {
        hidden["value"] = json!("filled in");
    }
    fs::write(with.join("macros.json"), macros.to_string()).expect("a file");

    server.load("bare");
    let diff = || {
        let output = scheduler(
            server.address(),
            &["restore_config", "--diff", "--config-dir", text(&with)],
        );
        assert!(output.status.success(), "{}", stderr(&output));
        let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert!(secrets.iter().all(|secret| !shown.contains(secret)));
        assert!(!shown.contains("filled in"));
        shown
    };
    assert!(diff().contains("+ template \"template 00\""));
    let answer = restore(server.address(), &with, &[]);
    assert_eq!(answer["failed"], json!([]), "{answer:#}");
    let found = server.sql(
        "SELECT password FROM items JOIN hosts USING (hostid) WHERE host = 'template 00' AND key_ = 'page'",
    );
    assert_eq!(found.trim(), "item password");
    let found = server.sql("SELECT value FROM globalmacro WHERE macro = '{$HIDDEN}'");
    assert_eq!(found.trim(), "filled in");

    server.sql("UPDATE items SET password = 'another' WHERE password = 'item password'");
    let shown = diff();
    assert!(
        shown.contains("items[page]/password: \"a secret\" -> \"a secret\""),
        "{shown}"
    );
    assert!(!shown.contains("another"), "{shown}");
    directories(&server, dirs.path());
}

/// No backup holds directories and MFA methods: what refers to them restores all the same, and it is named.
fn directories(server: &Server, dirs: &std::path::Path) {
    let call = |method: &str, params: Value| {
        let answer = server.api().call(method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    };
    let directory = call(
        "userdirectory.create",
        json!({"idp_type": "1", "name": "Own LDAP", "host": "ldap.example.com", "port": "389", "base_dn": "dc=example", "search_attribute": "uid"}),
    );
    let directory = directory["userdirectoryids"][0].clone();
    let method = call(
        "mfa.create",
        json!({"type": "1", "name": "Own codes", "hash_function": "1", "code_length": "6"}),
    );
    let method = method["mfaids"][0].clone();
    call(
        "authentication.update",
        json!({"ldap_auth_enabled": "1", "ldap_userdirectoryid": directory, "authentication_type": "1", "mfa_status": "1", "mfaid": method}),
    );
    let group = call(
        "usergroup.create",
        json!({"name": "From LDAP", "gui_access": "2", "userdirectoryid": directory, "mfa_status": "1", "mfaid": method}),
    );
    let user = call(
        "user.create",
        json!({"username": "lena", "passwd": "Long-enough-7", "roleid": "1", "usrgrps": [{"usrgrpid": group["usrgrpids"][0]}]}),
    );
    // As if the directory had brought the user.
    server.sql("UPDATE users SET userdirectoryid = (SELECT userdirectoryid FROM userdirectory) WHERE username = 'lena'");
    let dir = dirs.join("directories");
    backup(server.address(), &dir, &[]);
    let answer = restore(server.address(), &dir, &[]);
    assert_eq!(answer["not_carried"], json!([]), "the server has them");

    call("user.delete", user["userids"].clone());
    call("usergroup.delete", group["usrgrpids"].clone());
    call(
        "authentication.update",
        json!({"authentication_type": "0", "mfa_status": "0", "mfaid": "0"}),
    );
    call(
        "authentication.update",
        json!({"ldap_auth_enabled": "0", "ldap_userdirectoryid": "0"}),
    );
    call("userdirectory.delete", json!([directory]));
    call("mfa.delete", json!([method]));
    let answer = restore(server.address(), &dir, &[]);
    assert_eq!(answer["failed"], json!([]), "{answer:#}");
    assert_eq!(answer["create"], 2, "{answer:#}");
    let lost = answer["not_carried"].as_array().expect("a list");
    let lost: Vec<String> = lost
        .iter()
        .map(|lost| {
            format!("{} {} {}", lost["kind"], lost["name"], lost["reason"]).replace('"', "")
        })
        .collect();
    let lost = lost.join("\n");
    for named in [
        "authentication authentication its MFA method",
        "authentication authentication its user directory",
        "user lena its user directory",
        "user_group From LDAP its MFA method",
        "user_group From LDAP its user directory",
    ] {
        assert!(lost.contains(named), "{named} is not named: {lost}");
    }
    nothing_to_do(server.address(), &dir);
}

/// The API tells nobody the values of secret macros, and an import blanks those that it is given no value of. The round
/// trips call this, on a server that is as the backup in `dir` says.
pub fn updates_keep_secret_macros(server: &Server, dir: &Path) {
    let again = tempfile::tempdir().expect("a folder");
    server.sql(
        "UPDATE hostmacro SET value = 'kept' WHERE type = 1;
         UPDATE globalmacro SET value = 'kept' WHERE type = 1;",
    );
    let restored = |what: &str, more: &[&str]| {
        let answer = restore(server.address(), dir, more);
        assert_eq!(answer["failed"], json!([]), "{what}: {answer:#}");
        assert_ne!(answer["update"], 0, "{what}: {answer:#}");
        let changed = server.sql(
            "SELECT host || ' ' || macro FROM hostmacro JOIN hosts USING (hostid) WHERE type = 1 AND value <> 'kept'
             UNION SELECT macro FROM globalmacro WHERE type = 1 AND value <> 'kept'",
        );
        assert_eq!(changed, "", "secret macros were changed by {what}");
    };
    let is_as_backed_up = || {
        backup(server.address(), again.path(), &[]);
        same_folders(dir, again.path());
    };

    server.sql("UPDATE items SET history = '3d' WHERE key_ IN ('own.second', 'own.value[3]')");
    restored("other items", &[]);

    let proxy = match server.version() {
        Version::V5_0 | Version::V6_0 => "proxy_hostid = NULL",
        Version::V7_0 => "proxyid = NULL, monitored_by = 0",
    };
    server.sql(&format!(
        "UPDATE hosts SET description = 'other', name = name || ' (other)'
             WHERE host LIKE 'host 0%' OR host LIKE 'template 0%';
         UPDATE hosts SET status = 1, ipmi_authtype = 2, ipmi_privilege = 4, ipmi_username = 'other', {proxy}
             WHERE host LIKE 'host 0%';
         UPDATE interface SET dns = 'other.example.com', useip = 0 WHERE type = 1;
         UPDATE interface_snmp SET version = 1, bulk = 0, community = 'other';
         UPDATE host_inventory SET location = '', os = 'other', inventory_mode = 1;
         UPDATE host_tag SET value = 'other';
         UPDATE hostmacro SET description = 'other' WHERE hostid IN (SELECT hostid FROM hosts WHERE flags = 0);
         UPDATE hostmacro SET value = 'other' WHERE type = 0;
         UPDATE globalmacro SET description = 'other';
         DELETE FROM hosts_groups WHERE groupid = (SELECT groupid FROM hstgrp WHERE name = 'Stores');"
    ));
    restored("other fields", &[]);
    is_as_backed_up();

    let call = |method: &str, params: Value| {
        let answer = server.api().call(method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    };
    let id = |api: &str, field: &str, name: &str, id: &str| {
        let found = call(&format!("{api}.get"), json!({"filter": {field: name}}));
        found[0][id].clone()
    };
    let groups = match server.version() {
        Version::V5_0 | Version::V6_0 => "hostgroup",
        Version::V7_0 => "templategroup",
    };
    let group = id(groups, "name", "Own templates", "groupid");
    let extra = call(
        "template.create",
        json!({"host": "extra", "groups": [{"groupid": group}]}),
    );
    let extra = json!([{"templateid": extra["templateids"][0]}]);
    call(
        "host.massadd",
        json!({"hosts": [{"hostid": id("host", "host", "host 0002", "hostid")}], "templates": extra}),
    );
    call(
        "template.massadd",
        json!({"templates": [{"templateid": id("template", "host", "template 01", "templateid")}], "templates_link": extra}),
    );
    // What deletes looks these two up, in every version by what it answers.
    let last = |key: &str| match server.version() {
        Version::V5_0 => format!("{{template 01:{key}.last()}}"),
        Version::V6_0 | Version::V7_0 => format!("last(/template 01/{key})"),
    };
    let keys = ["own.value1[0]", "own.value1[1]"];
    call(
        "trigger.create",
        json!({"description": "extra", "expression": format!("{}>1 and {}>1", last(keys[0]), last(keys[1]))}),
    );
    let item = id("item", "key_", keys[0], "itemid");
    call(
        "graph.create",
        json!({"name": "extra", "gitems": [{"itemid": item, "color": "1A7C11"}]}),
    );
    restored("links", &["--prune", "template", "--prune", "host"]);
    is_as_backed_up();
}
