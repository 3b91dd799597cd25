//! Delivery under every fault: the answer comes in time, the agent stays what it is, and no snapshot goes missing without
//! account. `cargo lab faults`, `outages`, `soak` and `memcheck` do the same at full length.

mod support;

use std::sync::RwLock;
use std::time::{Duration, Instant};

use lab::{Lab, Version, proof};
use serde_json::json;
use support::stub::{Behaviour, Stub};
use support::wait_for;

/// What is measured against a deadline of seconds runs alone.
static BUSY: RwLock<()> = RwLock::new(());

#[test]
fn every_fault_of_a_server_or_a_disk_is_answered_in_time() {
    let _alone = BUSY.write();
    proof::faults(Version::V6_0, 8).unwrap();
}

#[test]
fn outages_of_the_server_and_deaths_of_the_agent_double_no_snapshot_and_lose_none_without_account()
{
    let _busy = BUSY.read();
    let plan = proof::Plan {
        seed: 20,
        snapshots: 60,
        outages: 3,
        kills: 3,
    };
    proof::outages(Version::V5_0, plan).unwrap();
}

#[test]
fn thousands_of_calls_of_all_kinds_leave_the_agent_as_it_was() {
    let _busy = BUSY.read();
    proof::soak(Version::V6_0, 20_000).unwrap();
}

#[test]
fn memcheck_finds_no_error_and_no_leak_of_the_module() {
    let _busy = BUSY.read();
    proof::memcheck(200).unwrap();
}

const BODY: &str = r#"{"version":"4.0.0","counters":{"a":{"count":1},"b":{"count":2},"c":{"count":3},"d":{"count":4}}}"#;

fn lab(toml: &str) -> Lab {
    let toml = format!("allow = ['file:///srv/']\n{toml}");
    // A busy machine shall not keep it from answering in time.
    let lab = Lab::builder()
        .agent_config("Timeout=30\n")
        .courier_toml(&toml)
        .start()
        .unwrap();
    let agent = lab.agent();
    agent.exec(&["mkdir", "-p", "/srv"]).unwrap();
    agent.write_file("/srv/app.json", BODY.as_bytes()).unwrap();
    lab
}

#[test]
fn explain_names_the_keys_that_the_server_refuses() {
    let _busy = BUSY.read();
    let lab = lab("");
    let host = lab.api().create_host("lab", &["Lab"], &[], &[]).unwrap();
    let items: Vec<_> = ["a", "c", "d"]
        .iter()
        .map(|name| json!({"hostid": host, "name": name, "key_": format!("counter[{name}.count]"), "type": 2, "value_type": 3}))
        .collect();
    lab.api().call("item.create", json!(items)).unwrap();
    lab.reload_config_cache().unwrap();
    let explained = wait_for("known items", Duration::from_secs(60), || {
        let command = ["courier", "push", "/srv/app.json", "--explain"];
        let output = lab.agent().exec(&command).unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let value: f64 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .unwrap();
        assert!(value >= 1.0);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (!errors.contains("refuses counter[a.count]")).then_some(errors)
    });
    let refused: Vec<&str> = explained
        .lines()
        .filter(|line| line.contains(" refuses "))
        .collect();
    assert_eq!(
        refused,
        ["courier: 127.0.0.1:10051 refuses counter[b.count]"]
    );
}

#[test]
fn refused_values_are_said_once_for_each_item_and_the_stats_tell_each_destination() {
    let _busy = BUSY.read();
    let lab = lab("[deliver]\nto = ['127.0.0.1', 'localhost']\n");
    let host = lab.api().create_host("lab", &["Lab"], &[], &[]).unwrap();
    let item = json!({"hostid": host, "name": "a", "key_": "counter[a.count]", "type": 2, "value_type": 3});
    lab.api().call("item.create", item).unwrap();
    lab.reload_config_cache().unwrap();
    let push = |host: &str| {
        let key = format!("courier.push[/srv/app.json,,{host}]");
        let elapsed: f64 = lab.agent().get(&key).unwrap().parse().unwrap();
        assert!(elapsed >= 1.0, "{elapsed}");
        lab.agent()
            .get("courier.stats[/srv/app.json,destinations]")
            .unwrap()
    };
    let taken = "127.0.0.1:10051: 1 processed, 3 refused; localhost:10051: 1 processed, 3 refused";
    wait_for("known items", Duration::from_secs(60), || {
        (push("lab") == taken).then_some(())
    });
    for _ in 0..5 {
        let refused =
            "127.0.0.1:10051: 0 processed, 4 refused; localhost:10051: 0 processed, 4 refused";
        assert_eq!(push("nobody"), refused);
        assert_eq!(push("lab"), taken);
    }
    let log = lab.agent().log().unwrap();
    for said in [
        "refused 4 of 4 values for host nobody (127.0.0.1:10051: 0 processed",
        "refused 3 of 4 values for host lab (127.0.0.1:10051: 1 processed",
    ] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
}

#[test]
fn an_agent_that_is_stopped_while_it_pushes_stops_at_once_and_starts_again() {
    let _busy = BUSY.read();
    let lab = lab("");
    let trapper = Stub::on(lab.pod().listen(0).unwrap(), Behaviour::Silent);
    let settings = format!(
        "allow = ['file:///srv/']\n[deliver]\nto = ['127.0.0.1:{}']\n",
        trapper.port
    );
    lab.agent()
        .write_file("/etc/zabbix/courier.toml", settings.as_bytes())
        .unwrap();
    for round in 1..=3 {
        std::thread::scope(|scope| {
            let push = scope.spawn(|| lab.agent().get("courier.push[/srv/app.json]"));
            wait_for("the push", Duration::from_secs(60), || {
                (trapper.connections() >= round).then_some(())
            });
            let start = Instant::now();
            lab.agent().restart().unwrap();
            // The push itself would have taken 27 s.
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{:?}",
                start.elapsed()
            );
            // It was cut off, or answered just before.
            drop(push.join().unwrap());
        });
        assert_eq!(
            lab.agent().get("courier.version").unwrap(),
            env!("CARGO_PKG_VERSION")
        );
    }
}

#[test]
fn a_server_that_hangs_up_kills_neither_the_agents_test_mode_nor_its_print_mode() {
    let _busy = BUSY.read();
    let lab = lab("");
    // More than the buffers between the two hold: the connection breaks while it is written to.
    let counters: Vec<String> = (0..80_000)
        .map(|i| format!("\"c{i}\":{{\"count\":1}}"))
        .collect();
    let body = format!(
        "{{\"version\":\"4.0.0\",\"counters\":{{{}}}}}",
        counters.join(",")
    );
    lab.agent()
        .write_file("/srv/app.json", body.as_bytes())
        .unwrap();
    let trapper = Stub::on(
        lab.pod().listen(0).unwrap(),
        Behaviour::Answers(Default::default()),
    );
    let settings = format!(
        "allow = ['file:///srv/']\n[deliver]\nto = ['127.0.0.1:{}']\n",
        trapper.port
    );
    lab.agent()
        .write_file("/etc/zabbix/courier.toml", settings.as_bytes())
        .unwrap();
    let output = lab.agent().test("courier.push[/srv/app.json]").unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("[d|0]"),
        "{output:?}"
    );
    // All keys, of which the last is printed after the courier's: a push without a source delivers nothing.
    let connections = trapper.connections();
    let output = lab.agent().print().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("courier.push[test:]"),
        "{output:?}"
    );
    assert_eq!(trapper.connections(), connections);
}
