//! The courier beside another module in one agent, whichever is loaded first.

use std::process::Command;

use lab::{Agent, AgentSpec, Lab};

const CONFIG: &str = "/etc/zabbix/zabbix_agentd.conf";
const SECOND: &str = "/usr/lib/zabbix/modules/second.so";

/// The other module, compiled against the courier's own declaration of the interface.
fn second() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("second.so");
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-I"])
        .arg(format!("{root}/include"))
        .arg(format!("{root}/tests/modules/second.c"))
        .arg("-o")
        .arg(&library)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(library).unwrap()
}

/// Loads the other module before (`1i`) or after (`$a`) the courier.
fn load_beside(agent: &Agent, place: &str) {
    agent.write_file(SECOND, &second()).unwrap();
    let add = format!("{place} LoadModule={SECOND}");
    let output = agent.exec(&["sed", "-i", &add, CONFIG]).unwrap();
    assert!(output.status.success(), "{output:?}");
    agent.restart().unwrap();
}

fn both_answer(agent: &Agent) {
    let get = |key: &str| agent.get(key);
    for _ in 0..20 {
        assert_eq!(get("courier.version").unwrap(), env!("CARGO_PKG_VERSION"));
        assert_eq!(get("second.echo[\"a, b\"]").unwrap(), "a, b");
        assert!(get("second.count").unwrap().parse::<u64>().unwrap() >= 1);
        let elapsed: f64 = get("courier.push[/srv/app.json]").unwrap().parse().unwrap();
        assert!(elapsed >= 1.0, "{elapsed}");
        let error = get("second.echo").unwrap_err().to_string();
        assert!(error.contains("one parameter, please"), "{error}");
        let error = get("courier.discover").unwrap_err().to_string();
        assert!(error.contains("the parameter source is missing"), "{error}");
    }
}

#[test]
fn two_modules_in_one_agent_answer_each_for_itself_in_either_order() {
    let spec = AgentSpec {
        courier_toml: Some("allow = ['file:///srv/']\n".into()),
        ..AgentSpec::default()
    };
    let lab = Lab::builder().agent(spec.clone()).start().unwrap();
    let after = lab
        .start_agent(&AgentSpec {
            port: 10060,
            ..spec
        })
        .unwrap();
    let body = br#"{"version":"4.0.0","counters":{"a":{"count":1}}}"#;
    for (agent, place, loaded) in [
        (lab.agent(), "1i", ["second.so", "libcourier.so"]),
        (&after, "$a", ["libcourier.so", "second.so"]),
    ] {
        agent.exec(&["mkdir", "-p", "/srv"]).unwrap();
        agent.write_file("/srv/app.json", body).unwrap();
        load_beside(agent, place);
        let pids = agent.pids().unwrap();
        // Nothing of the module runs in the parent, which forks.
        let threads = std::fs::read_dir(format!("/proc/{}/task", pids[0])).unwrap();
        assert_eq!(threads.count(), 1);
        both_answer(agent);
        assert_eq!(agent.pids().unwrap(), pids);
        let log = agent.log().unwrap();
        let at = |name: &str| log.rfind(name).unwrap_or_else(|| panic!("{name}: {log}"));
        assert!(at(loaded[0]) < at(loaded[1]), "{log}");
        // `-p` runs the keys of both.
        let print = agent.print().unwrap();
        let text = String::from_utf8_lossy(&print.stdout).into_owned();
        assert!(print.status.success(), "{print:?}");
        assert!(
            text.contains("second.echo[test]") && text.contains("courier.push[test:]"),
            "{text}"
        );
    }
}
