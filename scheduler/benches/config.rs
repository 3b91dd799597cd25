//! Backup and restore beside the bare API calls and the original program's way, on one server, in one run.
//!
//! `cargo bench -p concierge_scheduler --bench config [-- HOSTS TEMPLATES]` prints a table and fails where a target is missed.
//! curl and Python with venv are taken from the machine, pyzabbix from PyPI.

#[path = "../tests/config/population.rs"]
mod population;
#[path = "../tests/config/server.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::Version;
use serde_json::{Value, json};

use population::{Size, populate};
use server::Server;

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok());
    let size = Size {
        hosts: numbers.next().unwrap_or(1000),
        templates: numbers.next().unwrap_or(50),
    };
    let dirs = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (dirs.path().join("ours"), dirs.path().join("theirs"));
    let python = python();
    let server = Server::start(Version::V6_0);
    populate(server.api(), Version::V6_0, size);

    // Each is warmed up by the one before: the database's cache is the same for all but the first, which is not counted.
    bare(&server);
    eprintln!("the server is ready");
    let by_hand = best(|| bare(&server));
    let original_backup = best(|| run(original(&python, "backup", &server, &theirs)));
    let backup = best(|| run(scheduler("backup_config", &server, &ours)));

    eprintln!(
        "backed up: bare {by_hand:.2?}, the original's way {original_backup:.2?}, backup_config {backup:.2?}"
    );
    server.load("stock");
    server.strip();
    let restore_original = run(original(&python, "restore", &server, &theirs));
    server.load("bare");
    server.shift_ids();
    let restore = run(scheduler("restore_config", &server, &ours));
    let again = run(scheduler("restore_config", &server, &ours));

    println!(
        "\nZabbix 6.0, stock database and {} hosts, {} templates",
        size.hosts, size.templates
    );
    println!("{:44} {:>8}", "what", "seconds");
    for (what, time) in [
        ("backup: bare calls with curl (a)", by_hand),
        ("backup: the original's way, pyzabbix (b)", original_backup),
        ("backup: backup_config", backup),
        (
            "restore: the original's way, pyzabbix (b)",
            restore_original,
        ),
        ("restore: restore_config, into an empty server", restore),
        ("restore: restore_config, nothing to do", again),
    ] {
        println!("{what:44} {:8.2}", time.as_secs_f64());
    }
    let mut missed = 0;
    for (what, ratio, target) in [
        ("backup / (a)", share(backup, by_hand), 0.6),
        ("backup / (b)", share(backup, original_backup), 0.55),
        ("restore / (b)", share(restore, restore_original), 1.0),
        ("nothing to do / first restore", share(again, restore), 0.2),
    ] {
        let met = ratio <= target;
        missed += usize::from(!met);
        println!(
            "{what:44} {ratio:8.2}  target {target:.2}  {}",
            if met { "met" } else { "NOT MET" }
        );
    }
    assert_eq!(missed, 0, "targets not met");
}

/// The shortest of three runs: whatever else the machine does only adds to it.
fn best(mut run: impl FnMut() -> Duration) -> Duration {
    let runs = [run(), run(), run()];
    runs.into_iter().min().unwrap_or_default()
}

fn share(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// One export or get for each kind of object, one after another.
fn bare(server: &Server) -> Duration {
    let session = curl(
        server,
        "user.login",
        &json!({"username": "Admin", "password": "zabbix"}),
        None,
    );
    let session = session.as_str().expect("a session").to_owned();
    let call = |method: &str, params: Value| curl(server, method, &params, Some(&session));
    let begin = Instant::now();
    for (api, id, option) in [
        ("hostgroup", "groupid", "groups"),
        ("mediatype", "mediatypeid", "mediaTypes"),
        ("image", "imageid", "images"),
        ("template", "templateid", "templates"),
        ("host", "hostid", "hosts"),
        ("map", "sysmapid", "maps"),
    ] {
        let found = call(&format!("{api}.get"), json!({"output": [id]}));
        let ids: Vec<&Value> = found
            .as_array()
            .expect("a list")
            .iter()
            .map(|found| &found[id])
            .collect();
        call(
            "configuration.export",
            json!({"format": "json", "options": {option: ids}}),
        );
    }
    let all = json!({"output": "extend"});
    for api in [
        "action",
        "script",
        "service",
        "sla",
        "proxy",
        "user",
        "usergroup",
        "role",
        "drule",
        "maintenance",
        "correlation",
        "dashboard",
        "report",
        "iconmap",
        "regexp",
        "settings",
        "housekeeping",
        "authentication",
        "autoregistration",
    ] {
        call(&format!("{api}.get"), all.clone());
    }
    call(
        "usermacro.get",
        json!({"output": "extend", "globalmacro": true}),
    );
    begin.elapsed()
}

fn curl(server: &Server, method: &str, params: &Value, session: Option<&str>) -> Value {
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "auth": session});
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), body.to_string()).expect("a file");
    let output = Command::new("curl")
        .args([
            "--silent",
            "--header",
            "Content-Type: application/json-rpc",
            "--data-binary",
        ])
        .arg(format!("@{}", file.path().display()))
        .arg(format!("{}api_jsonrpc.php", server.address()))
        .output()
        .expect("curl runs");
    let mut answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].take()
}

fn scheduler(verb: &str, server: &Server, dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concierge_scheduler"));
    command
        .env("ZBX_API_HOST", server.address())
        .env("ZBX_API_USER", "Admin")
        .env("ZBX_API_PASS", "zabbix")
        .args([verb, "--config-dir"])
        .arg(dir);
    command
}

fn original(python: &Path, verb: &str, server: &Server, dir: &Path) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/config_original.py");
    let mut command = Command::new(python);
    command.arg(script).args([verb, server.address()]).arg(dir);
    command
}

fn run(mut command: Command) -> Duration {
    let begin = Instant::now();
    let output = command.output().expect("it runs");
    let time = begin.elapsed();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    time
}

/// A Python that has pyzabbix.
fn python() -> PathBuf {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config-bench");
    let python = venv.join("bin/python");
    if !venv.join("ready").exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&venv);
        run(make);
        let mut install = Command::new(venv.join("bin/pip"));
        install.args(["install", "--quiet", "pyzabbix==1.3.1"]);
        run(install);
        std::fs::write(venv.join("ready"), "").expect("a mark");
    }
    python
}
