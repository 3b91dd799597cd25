//! `job`: backup, restore, upload and delete in one run, as far as each is asked for.

use std::fs;

use lab::Version;
use serde_json::Value;

use crate::SMALL;
use crate::command::{scheduler, stderr, text};
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
    let storage = dirs.path().join("storage");
    fs::create_dir(&storage).expect("a folder");
    let storage = format!("file://{}", text(&storage));
    let run = |words: &[&str], code: i32| {
        let output = scheduler(server.address(), words);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        output
    };

    // What was not uploaded is not deleted.
    let away = [
        "--config-dir",
        text(&here),
        "--storage-location",
        "s3://bucket",
    ];
    run(&[&["job", "-b", "-u", "-d"][..], &away].concat(), 1);
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

    let output = run(&["job", "--config-dir", text(&there)], 64);
    assert!(
        stderr(&output).contains("nothing to do"),
        "{}",
        stderr(&output)
    );
}
