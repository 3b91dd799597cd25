//! `job`: backup, restore, upload and delete in one run, as far as each is asked for.

use std::fs;
use std::process::Command;

use lab::Version;
use serde_json::Value;

use crate::SMALL;
use crate::command::{command, scheduler, stderr, text};
use crate::population::populate;
use crate::round_trip::nothing_to_do;
use crate::server::Server;

#[test]
fn a_job_backs_up_uploads_and_deletes_and_another_restores_what_was_downloaded() {
    let server = Server::start(Version::V6_0);
    server.strip();
    populate(server.api(), Version::V6_0, SMALL);
    let dirs = tempfile::tempdir().expect("a folder");
    let (here, there) = (dirs.path().join("here"), dirs.path().join("there"));
    let folder = dirs.path().join("storage");
    fs::create_dir(&folder).expect("a folder");
    let storage = format!("file://{}", text(&folder));
    let run = |words: &[&str], code: i32| {
        let output = scheduler(server.address(), words);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        output
    };

    // What was not uploaded is not deleted. Without keys, the library would ask the machine's own account.
    let away = command(server.address(), &["job", "-b", "-u", "-d"])
        .args(["--config-dir", text(&here)])
        .args(["--storage-location", "s3://bucket"])
        .envs([
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT", "http://127.0.0.1:1"),
            ("AWS_ALLOW_HTTP", "true"),
        ])
        .output()
        .expect("the command runs");
    assert_eq!(away.status.code(), Some(1), "{}", stderr(&away));
    assert!(here.join("hosts.json").exists());

    let at = ["--config-dir", text(&here), "--storage-location", &storage];
    let output = run(&[&["job", "-b", "-u", "-d", "--json"][..], &at].concat(), 0);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert!(
        answer["backup"]["objects"].as_u64() > Some(30),
        "{answer:#}"
    );
    assert_eq!(answer["upload"]["location"], storage.as_str());
    assert_eq!(answer["delete"], text(&here));
    assert!(!here.exists(), "it was uploaded, and deleted here");

    let from = ["--config-dir", text(&there), "--storage-location", &storage];
    run(&[&["download"][..], &from].concat(), 0);
    server.load("bare");
    run(&["job", "-r", "--config-dir", text(&there)], 0);
    nothing_to_do(server.address(), &there);

    // The secrets that the restore made up are nowhere else.
    let generated = || {
        let file = fs::read(there.join("secrets-missing.json")).expect("a file");
        let listed: Vec<Value> = serde_json::from_slice(&file).expect("a list");
        let made_up = listed.into_iter().filter(|one| one["state"] == "generated");
        made_up.collect::<Vec<_>>()
    };
    let before = generated();
    let password = before.iter().find(|secret| secret["name"] == "otto");
    let password = password.expect("otto's password")["value"].as_str();
    let password = password.expect("a text").to_owned();
    run(&[&["job", "-b", "-u", "-d"][..], &from].concat(), 0);
    assert_eq!(generated(), before);
    assert!(!there.join("hosts.json").exists());
    run(&[&["download"][..], &from].concat(), 0);
    assert_eq!(generated(), before);
    let uploaded = Command::new("grep")
        .args(["-r", &password, text(&folder)])
        .output()
        .expect("grep runs");
    assert_eq!(uploaded.status.code(), Some(1), "{}", stderr(&uploaded));

    let output = run(&["job", "--config-dir", text(&there)], 64);
    assert!(
        stderr(&output).contains("nothing to do"),
        "{}",
        stderr(&output)
    );
}
