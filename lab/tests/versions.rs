//! The lab's own smoke tests.

use lab::{Lab, Version};

fn answers(version: Version) {
    let lab = Lab::builder()
        .zabbix(version)
        .without_module()
        .start()
        .unwrap();
    let server = lab.server_log().unwrap();
    assert!(server.contains(&format!("Zabbix {version}.")), "{server}");
    let agent = lab.agent().get("agent.version").unwrap();
    assert!(agent.starts_with(&version.to_string()), "{agent}");
    assert!(lab.api().call("host.get", serde_json::json!({})).is_ok());
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
