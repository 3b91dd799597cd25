//! What a lab leaves behind: nothing, however its owner ends.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lab::{Error, LABEL, Lab};

/// How many containers of this run there are.
fn containers(run: &str) -> usize {
    let filter = format!("label={LABEL}={run}");
    let list = Command::new("docker")
        .args(["ps", "-aq", "--filter", &filter])
        .output()
        .unwrap();
    assert!(list.status.success());
    list.stdout
        .split(|&byte| byte == b'\n')
        .filter(|id| !id.is_empty())
        .count()
}

/// `cargo lab up`, ready, as a run of its own.
fn up(run: &str) -> std::process::Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["up", "--without-module"])
        .env("CONCIERGE_LAB_RUN", run)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .map_while(Result::ok)
            .any(|line| line.starts_with("Ctrl-C")),
        "it ended early"
    );
    child
}

#[test]
fn an_interrupted_lab_is_gone_when_its_process_is() {
    let run = format!("interrupted-{}", std::process::id());
    let mut lab = up(&run);
    assert_eq!(containers(&run), 2);
    Command::new("kill")
        .args(["-INT", &lab.id().to_string()])
        .status()
        .unwrap();
    assert!(lab.wait().unwrap().success());
    assert_eq!(containers(&run), 0);
}

#[test]
fn a_killed_owner_leaves_no_container() {
    let run = format!("killed-{}", std::process::id());
    let mut lab = up(&run);
    assert_eq!(containers(&run), 2);
    lab.kill().unwrap();
    lab.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while containers(&run) > 0 {
        assert!(
            Instant::now() < deadline,
            "containers of {run} are still there"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_agent_that_refuses_to_start_is_reported_in_its_own_words() {
    let started = Lab::builder()
        .without_module()
        .agent_config("Nonsense=1")
        .start();
    let Err(Error::NotReady { log, .. }) = started else {
        panic!("it started")
    };
    assert!(log.contains("Nonsense"), "{log}");
}

#[test]
fn two_labs_side_by_side_do_not_meet() {
    let (first, second) = thread::scope(|scope| {
        let start = || {
            Lab::builder()
                .without_module()
                .agent_config("UserParameter=who,hostname")
                .start()
                .unwrap()
        };
        let other = scope.spawn(start);
        (start(), other.join().unwrap())
    });
    assert_ne!(first.frontend_url(), second.frontend_url());
    let listener = first.pod().listen(7000).unwrap();
    assert!(second.pod().connect(7000).is_err());
    first.pod().connect(7000).unwrap();
    listener.accept().unwrap();
    assert_ne!(
        first.agent().get("who").unwrap(),
        second.agent().get("who").unwrap()
    );
}
