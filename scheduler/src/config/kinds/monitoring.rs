//! What watches and what is done about it: proxies, scripts, services, discovery, maintenance.

use serde_json::{Value, json};

use super::{
    ALWAYS, CORRELATION, DISCOVERY_RULE, HOST, HOST_GROUP, MAINTENANCE, NEVER, PROXY, PROXY_GROUP,
    SCRIPT, SERVICE, SLA, TRIGGER, USER_GROUP, V6_0, V7_0,
};
use crate::config::kind::{Api, Form, Kind, Only, Reference, When};
use crate::config::target::Target;
use crate::zabbix::{Version, dialect};

pub static PROXY_GROUPS: Kind = Kind {
    name: "proxy_group",
    file: "proxygroups",
    since: V7_0,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &PROXY_GROUP,
        get: |_| json!({"output": "extend"}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[],
    only: &[],
    omit: &["state"],
};

/// What a proxy is up to 6.4. The original program kept everything that get answered, states and all.
const OLD_PROXY: [&str; 9] = [
    "proxyid",
    "host",
    "status",
    "description",
    "proxy_address",
    "tls_connect",
    "tls_accept",
    "tls_issuer",
    "tls_subject",
];

pub static PROXIES: Kind = Kind {
    name: "proxy",
    file: "proxies",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &PROXY,
        get: |version| {
            if version >= V7_0 {
                return json!({"output": "extend"});
            }
            json!({
                "output": OLD_PROXY,
                "selectInterface": ["useip", "ip", "dns", "port"],
            })
        },
        inward: Some(old_proxy),
        outward: None,
        changes_only: false,
    }),
    references: &[to("proxy_groupid", &PROXY_GROUP)],
    only: &[only("interface", "status", &["6"])],
    omit: &["lastaccess", "version", "compatibility", "state"],
};

/// Encryption between hosts and their server or proxy, which configuration.export leaves out from 5.4 on.
pub static HOST_ENCRYPTION: Kind = Kind {
    name: "host_encryption",
    file: "host_encryption",
    since: ALWAYS,
    until: NEVER,
    form: Form::Aspect(&Api {
        target: &HOST,
        get: |_| {
            json!({
                "output": ["hostid", "host", "tls_connect", "tls_accept", "tls_issuer", "tls_subject"],
                "filter": {"flags": "0"},
            })
        },
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[],
    only: &[],
    omit: &["hostid"],
};

pub static SCRIPTS: Kind = Kind {
    name: "script",
    file: "scripts",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &SCRIPT,
        get: |_| json!({"output": "extend"}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[to("groupid", &HOST_GROUP), to("usrgrpid", &USER_GROUP)],
    only: &[
        only("execute_on", "type", &["0"]),
        only("command", "type", &["0", "1", "2", "3", "5"]),
        only("port", "type", &["2", "3"]),
        only("username", "type", &["2", "3"]),
        only("password", "type", &["2", "3"]),
        only("authtype", "type", &["2"]),
        only("publickey", "authtype", &["1"]),
        only("privatekey", "authtype", &["1"]),
        only("timeout", "type", &["5"]),
        only("parameters", "type", &["5"]),
        only("url", "type", &["6"]),
        only("new_window", "type", &["6"]),
        only("menu_path", "scope", &["2", "4"]),
        only("usrgrpid", "scope", &["2", "4"]),
        only("host_access", "scope", &["2", "4"]),
        only("confirmation", "scope", &["2", "4"]),
        only("manualinput", "scope", &["2", "4"]),
        only("manualinput_prompt", "manualinput", &["1"]),
        only("manualinput_validator", "manualinput", &["1"]),
        only("manualinput_validator_type", "manualinput", &["1"]),
        only(
            "manualinput_default_value",
            "manualinput_validator_type",
            &["0"],
        ),
    ],
    omit: &[],
};

pub static SERVICES: Kind = Kind {
    name: "service",
    file: "services",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &SERVICE,
        get: |version| {
            if version < V6_0 {
                json!({"output": "extend", "selectParent": ["serviceid"], "selectTimes": "extend"})
            } else {
                json!({
                    "output": "extend",
                    "selectParents": ["serviceid"],
                    "selectTags": "extend",
                    "selectProblemTags": "extend",
                    "selectStatusRules": "extend",
                })
            }
        },
        inward: Some(parent),
        outward: None,
        // An update that names the parent again cuts the links to all others.
        changes_only: true,
    }),
    references: &[
        to("parents[]/serviceid", &SERVICE),
        to("parentid", &SERVICE),
        to("triggerid", &TRIGGER),
    ],
    only: &[],
    // A UUID is one server's own, and 6.0 takes none in an update.
    omit: &["status", "created_at", "readonly", "timeid", "uuid"],
};

/// Which services lie below which: up to 5.2 a service could lie below several, of which only one was its parent.
pub static SERVICE_LINKS: Kind = Kind {
    name: "service_link",
    file: "service_links",
    since: ALWAYS,
    until: V6_0,
    form: Form::Aspect(&Api {
        target: &SERVICE,
        get: |_| {
            json!({
                "output": ["serviceid", "name"],
                "selectDependencies": ["servicedownid", "soft"],
            })
        },
        inward: None,
        outward: Some(dependencies),
        changes_only: false,
    }),
    references: &[to("dependencies[]/servicedownid", &SERVICE)],
    only: &[],
    omit: &["linkid", "serviceid", "serviceupid"],
};

pub static SLAS: Kind = Kind {
    name: "sla",
    file: "slas",
    since: V6_0,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &SLA,
        get: |_| {
            json!({
                "output": "extend",
                "selectServiceTags": "extend",
                "selectSchedule": "extend",
                "selectExcludedDowntimes": "extend",
            })
        },
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[],
    only: &[],
    omit: &[],
};

pub static DISCOVERY_RULES: Kind = Kind {
    name: "discovery_rule",
    file: "discovery_rules",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &DISCOVERY_RULE,
        get: |_| json!({"output": "extend", "selectDChecks": "extend"}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[to("proxy_hostid", &PROXY), to("proxyid", &PROXY)],
    only: &[],
    omit: &["druleid", "dcheckid", "nextcheck", "error"],
};

pub static MAINTENANCES: Kind = Kind {
    name: "maintenance",
    file: "maintenances",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &MAINTENANCE,
        get: |version| {
            json!({
                "output": "extend",
                dialect::select_host_groups(version): ["groupid"],
                "selectHosts": ["hostid"],
                "selectTimeperiods": "extend",
                "selectTags": "extend",
            })
        },
        inward: None,
        outward: Some(members),
        changes_only: false,
    }),
    references: &[
        to("groups[]/groupid", &HOST_GROUP),
        to("hostgroups[]/groupid", &HOST_GROUP),
        to("hosts[]/hostid", &HOST),
    ],
    only: &[
        only("tags", "maintenance_type", &["0"]),
        only("tags_evaltype", "maintenance_type", &["0"]),
        only("timeperiods[]/start_date", "timeperiod_type", &["0"]),
        only(
            "timeperiods[]/start_time",
            "timeperiod_type",
            &["2", "3", "4"],
        ),
        only("timeperiods[]/every", "timeperiod_type", &["2", "3", "4"]),
        only("timeperiods[]/day", "timeperiod_type", &["4"]),
        only("timeperiods[]/dayofweek", "timeperiod_type", &["3", "4"]),
        only("timeperiods[]/month", "timeperiod_type", &["4"]),
    ],
    omit: &["timeperiodid"],
};

pub static CORRELATIONS: Kind = Kind {
    name: "correlation",
    file: "correlations",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &CORRELATION,
        get: |_| json!({"output": "extend", "selectFilter": "extend", "selectOperations": "extend"}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[to("filter/conditions[]/groupid", &HOST_GROUP)],
    only: &[only("filter/formula", "evaltype", &["3"])],
    omit: &["corr_conditionid", "corr_operationid", "eval_formula"],
};

fn old_proxy(proxy: &mut Value) {
    if let Some(fields) = proxy.as_object_mut()
        && fields.contains_key("status")
    {
        fields.retain(|field, _| OLD_PROXY.contains(&field.as_str()) || field == "interface");
    }
}

fn parent(service: &mut Value) {
    let Some(fields) = service.as_object_mut() else {
        return;
    };
    // Zabbix answers an empty list where there is none.
    if let Some(parent) = fields.remove("parent") {
        let id = parent.get("serviceid").cloned().unwrap_or(Value::Null);
        fields.insert("parentid".to_owned(), id);
    }
    let times = fields.get_mut("times").and_then(Value::as_array_mut);
    for time in times.into_iter().flatten().filter_map(Value::as_object_mut) {
        time.remove("serviceid");
    }
}

fn dependencies(service: &mut Value, _: Version) {
    let each = service
        .get_mut("dependencies")
        .and_then(Value::as_array_mut);
    for dependency in each.into_iter().flatten() {
        let down = dependency["servicedownid"].take();
        *dependency = json!({"dependsOnServiceid": down, "soft": dependency["soft"]});
    }
}

fn members(maintenance: &mut Value, version: Version) {
    let Some(fields) = maintenance.as_object_mut() else {
        return;
    };
    if let Some(groups) = fields.remove("hostgroups") {
        fields.insert("groups".into(), groups);
    }
    if version < V6_0 {
        for (objects, ids, id) in [
            ("groups", "groupids", "groupid"),
            ("hosts", "hostids", "hostid"),
        ] {
            let each = fields.remove(objects);
            let each = each
                .as_ref()
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let each: Vec<Value> = each.map(|object| object[id].clone()).collect();
            fields.insert(ids.into(), json!(each));
        }
    }
}

const fn to(path: &'static str, to: &'static Target) -> Reference {
    Reference {
        path,
        to,
        when: None,
    }
}

const fn only(path: &'static str, field: &'static str, values: &'static [&'static str]) -> Only {
    Only {
        path,
        when: When(field, values),
    }
}
