//! Zabbix agent 2, which loads no modules, with the command `courier` and the configuration that is shipped for it.

use std::fs;

use lab::{AgentSpec, App, Lab, Program, Version};
use serde_json::Value;

/// The shipped file, as zabbix_agent2.conf would include it.
fn parameters() -> String {
    let path = format!(
        "{}/zabbix_agent2.d/courier.conf",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::read_to_string(path).unwrap()
}

#[test]
fn agent_2_serves_the_four_keys_and_no_parameter_becomes_an_option() {
    let lab = Lab::builder()
        .zabbix(Version::V6_0)
        .without_agent()
        .start()
        .unwrap();
    let app = lab.start_app(App::Dropwizard).unwrap();
    let spec = AgentSpec {
        program: Program::Agent2,
        config: format!("Timeout=30\nUnsafeUserParameters=1\n{}", parameters()),
        courier_toml: Some(format!("[source.app]\nurl = '{}'\n", app.url())),
        ..AgentSpec::default()
    };
    let agent = lab.start_agent(&spec).unwrap();
    let get = |key: &str| agent.get(key).unwrap();

    assert_eq!(get("courier.version"), env!("CARGO_PKG_VERSION"));
    let rows: Value = serde_json::from_str(&get("courier.discover[app,timer]")).unwrap();
    assert!(rows[0]["{#TIMER}"].is_string(), "{rows}");
    let all: Value = serde_json::from_str(&get("courier.discover[app]")).unwrap();
    let some: Value = serde_json::from_str(&get("courier.discover[app,,\"^jvm\"]")).unwrap();
    let count = |rows: &Value| rows.as_array().unwrap().len();
    assert!((1..count(&all)).contains(&count(&some)), "{some}");
    let elapsed: f64 = get("courier.push[app,,nobody,,,x.]").parse().unwrap();
    assert!(elapsed >= 1.0, "{elapsed}");
    assert_eq!(get("courier.stats[app,status]"), "ok");

    // What would be options of the command's: another configuration, another destination, rows in place of a push.
    let refused = |key: &str| match agent.get(key) {
        Ok(value) => assert_eq!(value, "", "{key}"),
        Err(error) => assert!(
            error.to_string().contains("not supported"),
            "{key}: {error}"
        ),
    };
    refused("courier.discover[--config=/srv/agent.conf,app]");
    refused("courier.push[--to=127.0.0.1:7,app]");
    refused("courier.push[--dry-run,app]");
    refused("courier.stats[--config=/srv/agent.conf,status]");
}
