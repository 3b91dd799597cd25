//! Secrets: listed where they are left out, and carried where they are asked for.

use std::fs;

use lab::Version;
use serde_json::{Value, json};

use crate::SMALL;
use crate::command::{backup, restore, scheduler, stderr, text};
use crate::population::populate;
use crate::round_trip::nothing_to_do;
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
    let read = |dir: &std::path::Path, name: &str| {
        fs::read_to_string(dir.join(name)).expect("a file of the backup")
    };

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

    server.load("bare");
    let diff = || {
        let output = scheduler(
            server.address(),
            &["restore_config", "--diff", "--config-dir", text(&with)],
        );
        assert!(output.status.success(), "{}", stderr(&output));
        let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert!(secrets.iter().all(|secret| !shown.contains(secret)));
        shown
    };
    assert!(diff().contains("+ template \"template 00\""));
    let answer = restore(server.address(), &with, &[]);
    assert_eq!(answer["failed"], json!([]), "{answer:#}");
    let found = server.sql(
        "SELECT password FROM items JOIN hosts USING (hostid) WHERE host = 'template 00' AND key_ = 'page'",
    );
    assert_eq!(found.trim(), "item password");

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
