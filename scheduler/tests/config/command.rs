//! The command, run as users run it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs `concierge_scheduler` against the API at `address`.
pub fn scheduler(address: &str, arguments: &[&str]) -> Output {
    command(address, arguments)
        .output()
        .expect("the command runs")
}

/// The command, to be started or changed.
pub fn command(address: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concierge_scheduler"));
    command
        .env_clear()
        .env("ZBX_API_HOST", address)
        .env("ZBX_API_USER", "Admin")
        .env("ZBX_API_PASS", "zabbix")
        .args(arguments);
    command
}

/// Backs the server up into `dir`.
pub fn backup(address: &str, dir: &Path, more: &[&str]) {
    let mut arguments = vec!["backup_config", "--config-dir", text(dir)];
    arguments.extend(more);
    let output = scheduler(address, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Restores `dir` into the server and returns the answer.
pub fn restore(address: &str, dir: &Path, more: &[&str]) -> Value {
    let mut arguments = vec!["restore_config", "--json", "--config-dir", text(dir)];
    arguments.extend(more);
    let output = scheduler(address, &arguments);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no answer ({error}): {}", stderr(&output)))
}

/// What went to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}
