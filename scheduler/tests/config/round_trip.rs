//! Backup, restore into an empty server, backup again: the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use lab::Version;
use serde_json::{Value, json};

use crate::SMALL;
use crate::command::{backup, restore, scheduler, stderr, text};
use crate::faults::an_admin_is_no_super_admin;
use crate::population::{HOST_PSK, Size, populate};
use crate::secrets::updates_keep_secret_macros;
use crate::server::Server;

#[test]
fn a_backup_of_5_0_restores_byte_for_byte() {
    round_trip(Version::V5_0, SMALL, From::Empty);
}

#[test]
fn a_backup_of_6_0_restores_byte_for_byte() {
    round_trip(Version::V6_0, SMALL, From::Empty);
}

#[test]
fn a_backup_of_7_0_restores_byte_for_byte() {
    round_trip(Version::V7_0, SMALL, From::Empty);
}

/// The stock database and a thousand hosts; `-- large_backup --include-ignored` runs all three.
#[test]
#[ignore = "takes minutes"]
fn a_large_backup_of_5_0_restores_byte_for_byte() {
    round_trip(Version::V5_0, LARGE, From::Stock);
}

#[test]
#[ignore = "takes minutes"]
fn a_large_backup_of_6_0_restores_byte_for_byte() {
    round_trip(Version::V6_0, LARGE, From::Stock);
}

#[test]
#[ignore = "takes minutes"]
fn a_large_backup_of_7_0_restores_byte_for_byte() {
    round_trip(Version::V7_0, LARGE, From::Stock);
}

/// What a large installation has.
pub const LARGE: Size = Size {
    hosts: 1000,
    templates: 50,
};

/// What the server that is backed up holds beside the population.
#[derive(PartialEq)]
pub enum From {
    /// Nothing.
    Empty,
    /// The templates, actions and dashboards that Zabbix comes with.
    Stock,
}

fn round_trip(version: Version, size: Size, from: From) {
    let server = Server::start(version);
    if from == From::Empty {
        server.strip();
    }
    let begin = Instant::now();
    let lap = |what: &str| eprintln!("{version}: {what} after {:.0?}", begin.elapsed());
    populate(server.api(), version, size);
    lap("populated");
    let dirs = tempfile::tempdir().expect("a folder");
    let (first, second) = (dirs.path().join("first"), dirs.path().join("second"));
    backup(server.address(), &first, &[]);
    lap("backed up");
    psk_is_left_out_and_listed(version, &first);
    server.load("stock");
    server.strip();
    server.shift_ids();
    lap("emptied");
    let answer = restore(server.address(), &first, &[]);
    let failed = answer["failed"].as_array().map(Vec::as_slice);
    let failed = failed.unwrap_or_default();
    let first_ten = json!(failed.iter().take(10).collect::<Vec<_>>());
    assert!(failed.is_empty(), "{} failed: {first_ten:#}", failed.len());
    assert_eq!(answer["delete"], 0);
    lap("restored");
    backup(server.address(), &second, &[]);
    same_folders(&first, &second);
    lap("backed up again");
    nothing_to_do(server.address(), &first);
    lap("nothing to do");
    if from == From::Empty {
        updates_keep_secret_macros(&server, &first);
        lap("updated");
    }
    if version == Version::V5_0 {
        psk_goes_with_the_encryption(&server, &first);
    }
    an_admin_is_no_super_admin(&server, &first);
    namesakes(&server);
    nothing_to_do(server.address(), &first);
    lap("nothing to do beside namesakes");
}

/// 5.0 exports hosts with their PSKs; later versions tell them to nobody.
fn psk_is_left_out_and_listed(version: Version, dir: &Path) {
    for (name, content) in files(dir) {
        assert!(!content.contains(HOST_PSK), "{name} holds a PSK");
    }
    let (kind, state) = match version {
        Version::V5_0 => ("host", "left_out"),
        Version::V6_0 | Version::V7_0 => ("host_encryption", "unreadable"),
    };
    let listed = fs::read(dir.join("secrets-missing.json")).expect("the list");
    let listed: Vec<Value> = serde_json::from_slice(&listed).expect("a list");
    let of_host = listed
        .iter()
        .filter(|secret| secret["field"] == "tls_psk" && secret["name"] == "host 0002");
    let psk = json!({"kind": kind, "name": "host 0002", "field": "tls_psk", "state": state});
    assert_eq!(of_host.collect::<Vec<_>>(), [&psk]);
}

/// 5.0 takes no PSK of a host that uses none, and tells that of one that does.
fn psk_goes_with_the_encryption(server: &Server, dir: &Path) {
    let call = |method: &str, params: Value| server.api().call(method, params).expect("an answer");
    let found = call("host.get", json!({"filter": {"host": "host 0000"}}));
    let id = &found[0]["hostid"];
    call(
        "host.update",
        json!({"hostid": id, "tls_connect": "2", "tls_accept": "2", "tls_psk_identity": "PSK 004", "tls_psk": HOST_PSK}),
    );
    let answer = restore(server.address(), dir, &[]);
    assert_eq!(answer["failed"], json!([]), "{answer:#}");
    nothing_to_do(server.address(), dir);
}

/// Makes services and scripts of the same names elsewhere, which are others.
fn namesakes(server: &Server) {
    let call = |method: &str, params: Value| {
        let answer = server.api().call(method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    };
    let mut service = json!({"name": "Database", "algorithm": "1", "sortorder": "0"});
    if server.version() == Version::V5_0 {
        service["showsla"] = json!("0");
        service["goodsla"] = json!("99");
    }
    call("service.create", service);
    if server.version() == Version::V7_0 {
        call(
            "script.create",
            json!({"name": "restart", "menu_path": "Elsewhere", "type": "0", "scope": "2", "command": "true", "execute_on": "2"}),
        );
    }
}

/// A second restore plans nothing.
pub fn nothing_to_do(address: &str, dir: &Path) {
    let arguments = ["restore_config", "--dry-run", "--config-dir", text(dir)];
    let output = scheduler(address, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let plan = String::from_utf8_lossy(&output.stdout);
    assert!(plan.is_empty(), "a second plan is not empty:\n{plan}");
}

/// Compares the files' bytes, but for the lists of secrets: what a backup left out is not there after a restore, or made up.
pub fn same_folders(first: &Path, second: &Path) {
    let (first, second) = (files(first), files(second));
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        second.keys().collect::<Vec<_>>()
    );
    for (name, content) in &first {
        if content != &second[name] {
            panic!("{name} differs {}", differing_lines(content, &second[name]));
        }
    }
}

/// Every file of a folder but the lists of secrets.
pub fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the backup's folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if !name.starts_with("secrets-") {
            files.insert(
                name,
                fs::read_to_string(path).expect("a file of the backup"),
            );
        }
    }
    files
}

/// The lines from the first one that differs.
fn differing_lines(ours: &str, theirs: &str) -> String {
    let same = ours
        .lines()
        .zip(theirs.lines())
        .take_while(|(ours, theirs)| ours == theirs)
        .count();
    let from = |text: &str| {
        text.lines()
            .skip(same)
            .take(10)
            .collect::<Vec<_>>()
            .join("\n")
    };
    format!("from line {same}:\n{}\n!=\n{}", from(ours), from(theirs))
}
