//! The lab's own smoke tests.

use lab::{Lab, Version};

fn answers(version: Version) {
    let lab = Lab::builder()
        .zabbix(version)
        .without_module()
        .start()
        .unwrap();
    let reported = lab.api().call("apiinfo.version", serde_json::json!({}));
    let server = reported.unwrap().as_str().unwrap().to_owned();
    let agent = lab.agent().get("agent.version").unwrap();
    for reported in [server, agent] {
        assert!(reported.starts_with(&version.to_string()), "{reported}");
    }
    assert_eq!(lab.agent().get("agent.ping").unwrap(), "1");
}

#[test]
fn zabbix_5_0_starts_and_answers() {
    answers(Version::V5_0);
}

#[test]
fn zabbix_6_0_starts_and_answers() {
    answers(Version::V6_0);
}

#[test]
fn zabbix_7_0_starts_and_answers() {
    answers(Version::V7_0);
}
