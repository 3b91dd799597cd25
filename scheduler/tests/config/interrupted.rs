//! A restore that is killed, at whichever call, is completed by the next one.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use lab::Version;
use serde_json::json;

use crate::SMALL;
use crate::command::{backup, command, restore, text};
use crate::population::populate;
use crate::proxy::{Proxy, Verdict};
use crate::round_trip::{nothing_to_do, same_folders};
use crate::server::Server;

/// Two servers, side by side, share the calls.
#[test]
fn a_restore_killed_at_an_odd_call_that_changes_something_is_completed_by_the_next() {
    killed_at_every(1, 2, Calls::Changes);
}

#[test]
fn a_restore_killed_at_an_even_call_that_changes_something_is_completed_by_the_next() {
    killed_at_every(2, 2, Calls::Changes);
}

/// A call that only reads leaves the server as the call before it did: this adds what happens in the folder meanwhile.
/// `cargo test -p concierge_scheduler --test config killed_at_an -- --include-ignored` kills at all calls.
#[test]
#[ignore = "the calls that only read are many, and leave the server as it was"]
fn a_restore_killed_at_any_call_is_completed_by_the_next() {
    killed_at_every(1, 1, Calls::All);
}

/// The calls that are counted.
#[derive(Clone, Copy, PartialEq)]
enum Calls {
    All,
    Changes,
}

fn killed_at_every(first: usize, stride: usize, calls: Calls) {
    let server = Server::start(Version::V6_0);
    server.strip();
    populate(server.api(), Version::V6_0, SMALL);
    let dirs = tempfile::tempdir().expect("a folder");
    let (whole, again) = (dirs.path().join("whole"), dirs.path().join("again"));
    backup(server.address(), &whole, &["--with-secrets"]);
    server.load("bare");
    server.shift_ids();
    server.save("empty");
    let mut call = first;
    loop {
        server.load("empty");
        let killed = restore_killed_at(call, calls, &server, &whole);
        let answer = restore(server.address(), &whole, &[]);
        assert_eq!(answer["failed"], json!([]), "after call {call}: {answer:#}");
        backup(server.address(), &again, &["--with-secrets"]);
        same_folders(&whole, &again);
        if !killed {
            break;
        }
        call += stride;
    }
    nothing_to_do(server.address(), &whole);
    assert!(call > 30, "the restore ended before its call {call}");
    eprintln!("the restore ended before its call {call}");
}

/// Restores through a proxy that kills the command once Zabbix has carried out the call; false if it ended before.
fn restore_killed_at(call: usize, calls: Calls, server: &Server, dir: &std::path::Path) -> bool {
    let child = Arc::new(Mutex::new(None::<u32>));
    let victim = Arc::clone(&child);
    let proxy = Proxy::start(
        server.address(),
        calls == Calls::All,
        Box::new(move |number| {
            if number == 0 {
                let pid = victim.lock().expect("no thread panicked");
                let pid = pid.expect("the command runs").to_string();
                let status = std::process::Command::new("kill")
                    .args(["-9", &pid])
                    .status();
                assert!(status.is_ok_and(|status| status.success()), "kill {pid}");
            }
            if number == call {
                Verdict::LoseAnswer
            } else {
                Verdict::Pass
            }
        }),
    );
    let mut child_lock = child.lock().expect("no thread panicked");
    let mut process = command(
        proxy.address(),
        &["restore_config", "--config-dir", text(dir)],
    )
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .expect("the command starts");
    *child_lock = Some(process.id());
    drop(child_lock);
    let status = process.wait().expect("the command ends");
    let killed = proxy.calls().len() >= call;
    assert_eq!(
        status.code().is_none(),
        killed,
        "{status}, {:?}",
        proxy.calls()
    );
    killed
}
