//! A backup of one file for each object.

use std::fs;

use lab::Version;
use serde_json::json;

use crate::SMALL;
use crate::command::{backup, restore};
use crate::population::populate;
use crate::round_trip::{nothing_to_do, same_folders};
use crate::server::Server;

#[test]
fn a_split_backup_restores_as_one_of_whole_files_does() {
    let server = Server::start(Version::V7_0);
    server.strip();
    populate(server.api(), Version::V7_0, SMALL);
    let dirs = tempfile::tempdir().expect("a folder");
    let (whole, split) = (dirs.path().join("whole"), dirs.path().join("split"));
    let (second, again) = (dirs.path().join("second"), dirs.path().join("again"));
    backup(server.address(), &whole, &[]);
    backup(server.address(), &split, &["--split"]);
    let names = |kind: &str| {
        let entries = fs::read_dir(split.join(kind)).expect("the kind's folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into()).collect();
        names.sort();
        names
    };
    assert_eq!(
        names("templates"),
        [
            "template 00.json",
            "template 01.json",
            "the found.json",
            "triggers"
        ]
    );
    assert!(names("hostgroups").contains(&"Web servers%2FFrontend.json".to_owned()));
    nothing_to_do(server.address(), &split);

    server.load("bare");
    server.shift_ids();
    let answer = restore(server.address(), &split, &[]);
    assert_eq!(answer["failed"], json!([]), "{answer:#}");
    backup(server.address(), &second, &[]);
    same_folders(&whole, &second);

    // What is gone from the server goes from the folder too, and the other form takes its place whole.
    server.load("bare");
    backup(server.address(), &split, &["--split"]);
    assert!(!split.join("templates").exists());
    backup(server.address(), &split, &[]);
    backup(server.address(), &again, &[]);
    same_folders(&again, &split);
    let folders = fs::read_dir(&split).expect("the backup's folder");
    let folders = folders.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()));
    assert_eq!(folders.count(), 0);
}
