//! Secrets: listed where they are left out, and carried where they are asked for.

use std::fs;

use lab::Version;
use serde_json::{Value, json};

use crate::SMALL;
use crate::command::{backup, restore, scheduler, stderr, text};
use crate::population::populate;
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
}
