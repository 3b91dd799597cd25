//! Folders of the original program, of both generations, restore.

use std::fs;

use lab::Version;
use serde_json::{Value, json};

use crate::command::restore;
use crate::round_trip::nothing_to_do;
use crate::server::Server;

#[test]
fn folders_of_the_original_program_restore() {
    let server = Server::start(Version::V5_0);
    server.strip();
    server.save("bare");
    for (map, content) in [
        (
            "actions_data_orig.json",
            json!({"templates": [{"templateid": "10250", "host": "Web"}], "hostgroups": [{"groupid": "17", "name": "Web farm"}]}),
        ),
        (
            "id_map_backup.json",
            json!({
            "templates": [{"id": "10250", "md5": "5d6d8b4c", "name": "Web"}],
            "hostgroups": [{"id": "17", "md5": "6e1f1a2b", "name": "Web farm"}],
            "hosts": [], "mediatypes": []}),
        ),
    ] {
        server.load("bare");
        server.shift_ids();
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: &Value| {
            fs::write(dir.path().join(name), content.to_string()).expect("a file");
        };
        write(map, &content);
        write(
            "hostgroups.json",
            &export(json!({"groups": [{"name": "Web farm"}]})),
        );
        write(
            "templates.json",
            &export(json!({
            "groups": [{"name": "Templates"}],
            "templates": [{"template": "Web", "name": "Web", "groups": [{"name": "Templates"}],
                "items": [{"name": "requests", "type": "TRAP", "key": "requests", "delay": "0"}]}]})),
        );
        write(
            "hosts.json",
            &export(json!({"hosts": [{"host": "farm", "name": "farm",
            "templates": [{"name": "Web"}], "groups": [{"name": "Web farm"}],
            "interfaces": [{"interface_ref": "if1"}]}]})),
        );
        write("mediatypes.json", &Value::Null);
        write("services.json", &Value::Null);
        write(
            "proxies.json",
            &json!([{"proxyid": "10300", "host": "cellar", "status": "5", "lastaccess": "1600000000", "auto_compress": "1", "description": "", "tls_connect": "1", "tls_accept": "1", "tls_issuer": "", "tls_subject": "", "proxy_address": ""}]),
        );
        write(
            "reg_actions.json",
            &json!([{
            "actionid": "9", "eventsource": "2", "name": "Register", "status": "0", "esc_period": "1h", "pause_suppressed": "1", "maintenance_mode": "1",
            "filter": {"evaltype": "0", "formula": "", "eval_formula": "A", "conditions": [{"conditiontype": "24", "operator": "2", "value": "web", "value2": "", "formulaid": "A"}]},
            "operations": [
                {"operationid": "20", "actionid": "9", "operationtype": "4", "esc_period": "0", "esc_step_from": "1", "esc_step_to": "1", "evaltype": "0", "opconditions": [], "opgroup": [{"operationid": "20", "groupid": "17"}]},
                {"operationid": "21", "actionid": "9", "operationtype": "6", "esc_period": "0", "esc_step_from": "1", "esc_step_to": "1", "evaltype": "0", "opconditions": [], "optemplate": [{"operationid": "21", "templateid": "10250"}]}],
            "recoveryOperations": []}]),
        );
        write("trigger_actions.json", &json!([]));

        let answer = restore(server.address(), dir.path(), &[]);
        assert_eq!(answer["failed"], json!([]), "{map}: {answer:#}");
        assert_eq!(answer["create"], 5, "{map}: {answer:#}");
        nothing_to_do(server.address(), dir.path());
        let kept = fs::read_to_string(dir.path().join(map)).expect("the map is still there");
        assert_eq!(kept, content.to_string());
        let actions = server
            .api()
            .call(
                "action.get",
                json!({"selectOperations": "extend", "filter": {"name": "Register"}}),
            )
            .expect("the action");
        let group = server
            .api()
            .call("hostgroup.get", json!({"filter": {"name": "Web farm"}}))
            .expect("the group");
        assert!(
            actions[0]["operations"]
                .to_string()
                .contains(group[0]["groupid"].as_str().expect("an id"))
        );
    }
}

fn export(mut sections: Value) -> Value {
    sections["version"] = json!("5.0");
    sections["date"] = json!("2020-05-01T10:00:00Z");
    json!({"zabbix_export": sections})
}
