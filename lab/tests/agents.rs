//! Agents in a lab.

use lab::{AgentSpec, Error, Lab, Program, Version};

#[test]
fn an_agent_answers_refuses_and_keeps_its_processes() {
    let lab = Lab::builder().without_module().start().unwrap();
    let agent = lab.agent();
    let pids = agent.pids().unwrap();
    assert!(pids.len() >= 5, "{pids:?}");
    assert!(
        matches!(agent.get("no.such"), Err(Error::NotSupported { reason, .. }) if reason.contains("nsupported"))
    );
    let tested = agent.test("agent.ping").unwrap();
    assert!(
        String::from_utf8_lossy(&tested.stdout).contains("[u|1]"),
        "{tested:?}"
    );
    assert!(String::from_utf8_lossy(&agent.print().unwrap().stdout).contains("agent.version"));
    assert!(agent.log().unwrap().contains("Starting Zabbix Agent"));
    assert_eq!(agent.pids().unwrap(), pids);

    agent
        .write_file(
            "/etc/zabbix/zabbix_agentd.conf.d/more.conf",
            b"UserParameter=more,echo yes\n",
        )
        .unwrap();
    let include =
        "echo Include=/etc/zabbix/zabbix_agentd.conf.d/*.conf >>/etc/zabbix/zabbix_agentd.conf";
    assert!(agent.exec(&["sh", "-c", include]).unwrap().status.success());
    agent.restart().unwrap();
    assert_eq!(agent.get("more").unwrap(), "yes");
    assert_ne!(agent.pids().unwrap(), pids);
}

#[test]
fn agents_of_other_versions_and_agent_2_run_beside_it() {
    let lab = Lab::builder()
        .zabbix(Version::V7_0)
        .without_agent()
        .start()
        .unwrap();
    let old = AgentSpec {
        version: Some(Version::V5_0),
        module: false,
        ..AgentSpec::default()
    };
    let old = lab.start_agent(&old).unwrap();
    assert!(old.get("agent.version").unwrap().starts_with("5.0"));
    let spec = AgentSpec {
        program: Program::Agent2,
        port: 10060,
        config: "UserParameter=echo[*],echo $1\nUserParameter=who,id -un".into(),
        module: false,
        ..AgentSpec::default()
    };
    let agent2 = lab.start_agent(&spec).unwrap();
    assert!(agent2.get("agent.version").unwrap().starts_with("7.0"));
    assert_eq!(agent2.get("echo[hello]").unwrap(), "hello");
    assert_eq!(agent2.get("who").unwrap(), "zabbix");
}
