//! A backup of an older Zabbix restores into the next version, and into the one after that.

use lab::Version;
use serde_json::{Value, json};

use crate::SMALL;
use crate::command::{backup, restore};
use crate::population::{Size, populate};
use crate::round_trip::{From, LARGE, nothing_to_do};
use crate::server::Server;

#[test]
fn a_backup_of_5_0_restores_into_6_0_and_that_one_into_7_0() {
    hops(SMALL, From::Empty);
}

/// The stock database of 5.0 and a thousand hosts.
#[test]
#[ignore = "takes minutes"]
fn a_large_backup_of_5_0_restores_into_6_0_and_that_one_into_7_0() {
    hops(LARGE, From::Stock);
}

fn hops(size: Size, from: From) {
    let dirs = tempfile::tempdir().expect("a folder");
    let (old, middle) = (dirs.path().join("5.0"), dirs.path().join("6.0"));
    {
        let server = Server::start(Version::V5_0);
        if from == From::Empty {
            server.strip();
        }
        populate(server.api(), Version::V5_0, size);
        backup(server.address(), &old, &[]);
    }
    {
        let server = Server::start(Version::V6_0);
        server.strip();
        let answer = restore(server.address(), &old, &[]);
        assert_eq!(answer["failed"], json!([]), "{answer:#}");
        let lost = answer["not_carried"].to_string();
        for named in [
            "its SLA of 99.5",
            "its times of service",
            "its conditions on applications",
            "no template and no host uses it",
            "screens ended with 5.4",
        ] {
            assert!(lost.contains(named), "{named} is not named: {lost}");
        }
        nothing_to_do(server.address(), &old);
        let identity = "SELECT tls_psk_identity FROM hosts WHERE host = 'host 0002'";
        assert_eq!(server.sql(identity).trim(), "PSK 003");
        of_6_0(&server);
        backup(server.address(), &middle, &[]);
    }
    let server = Server::start(Version::V7_0);
    server.strip();
    for dir in [&old, &middle] {
        server.load("bare");
        let answer = restore(server.address(), dir, &[]);
        assert_eq!(answer["failed"], json!([]), "{answer:#}");
        let lost = answer["not_carried"].to_string();
        let named = lost.contains("its LDAP server");
        assert_eq!(named, dir == &middle, "{lost}");
        nothing_to_do(server.address(), dir);
    }
    for role in ["User role", "Own role"] {
        let pages = server.sql(&format!(
            "SELECT value_int FROM role_rule JOIN role USING (roleid) WHERE role.name = '{role}' AND role_rule.name = 'ui.monitoring.maps'"
        ));
        assert_eq!(pages.trim(), "0", "the {role} is as narrow as it was");
    }
}

/// What 5.0 does not have: roles, and settings of authentication that the API tells.
fn of_6_0(server: &Server) {
    let call = |method: &str, params: Value| {
        let answer = server.api().call(method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    };
    let narrow = json!({"ui": [{"name": "monitoring.maps", "status": "0"}]});
    let stock = call("role.get", json!({"filter": {"name": "User role"}}));
    call(
        "role.update",
        json!({"roleid": stock[0]["roleid"], "rules": narrow}),
    );
    call(
        "role.create",
        json!({"name": "Own role", "type": "1", "rules": narrow}),
    );
    call(
        "authentication.update",
        json!({"ldap_configured": "1", "ldap_host": "ldap.example.com", "ldap_port": "389", "ldap_base_dn": "dc=example",
            "ldap_search_attribute": "uid"}),
    );
}
