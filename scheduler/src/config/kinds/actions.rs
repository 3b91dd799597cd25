//! Actions: one kind for each source of events, all of one shape.

use serde_json::{Value, json};

use super::{
    ACTION, ALWAYS, DISCOVERY_CHECK, DISCOVERY_RULE, HOST, HOST_GROUP, MEDIA_TYPE, NEVER, PROXY,
    SCRIPT, SERVICE, TEMPLATE, TRIGGER, USER, USER_GROUP, V6_0,
};
use crate::config::kind::{Api, Form, Kind, Only, Reference, When};
use crate::config::target::Target;
use crate::zabbix::{Version, dialect};

pub static TRIGGER_ACTIONS: Kind = action("trigger_action", "trigger_actions", &TRIGGERS_API);
pub static DISCOVERY_ACTIONS: Kind =
    action("discovery_action", "discovery_actions", &DISCOVERY_API);
pub static REGISTRATION_ACTIONS: Kind =
    action("registration_action", "reg_actions", &REGISTRATION_API);
pub static INTERNAL_ACTIONS: Kind = action("internal_action", "internal_actions", &INTERNAL_API);
pub static SERVICE_ACTIONS: Kind = Kind {
    since: V6_0,
    ..action("service_action", "service_actions", &SERVICE_API)
};

static TRIGGERS_API: Api = api(|version| get("0", version));
static DISCOVERY_API: Api = api(|version| get("1", version));
static REGISTRATION_API: Api = api(|version| get("2", version));
static INTERNAL_API: Api = api(|version| get("3", version));
static SERVICE_API: Api = api(|version| get("4", version));

const fn action(name: &'static str, file: &'static str, api: &'static Api) -> Kind {
    Kind {
        name,
        file,
        since: ALWAYS,
        until: NEVER,
        form: Form::Objects(api),
        references: REFERENCES,
        only: ONLY,
        omit: &[
            "actionid",
            "eval_formula",
            "maintenance_mode",
            "opcommand_grpid",
            "opcommand_hstid",
            "opconditionid",
            "operationid",
            "opmessage_grpid",
            "opmessage_usrid",
            "optagid",
            "recovery",
        ],
    }
}

const fn api(get: fn(Version) -> Value) -> Api {
    Api {
        target: &ACTION,
        get,
        inward: Some(inward),
        outward: Some(outward),
        changes_only: false,
    }
}

fn get(source: &str, version: Version) -> Value {
    json!({
        "output": "extend",
        "selectFilter": "extend",
        "selectOperations": "extend",
        "selectRecoveryOperations": "extend",
        dialect::select_update_operations(version): "extend",
        "filter": {"eventsource": source},
    })
}

/// Up to 5.2, get answered in camel case what create takes with underscores.
fn inward(action: &mut Value) {
    if let Some(fields) = action.as_object_mut() {
        for (old, new) in [
            ("recoveryOperations", "recovery_operations"),
            ("acknowledgeOperations", "acknowledge_operations"),
        ] {
            if let Some(operations) = fields.remove(old) {
                fields.insert(new.to_owned(), operations);
            }
        }
    }
}

/// Drops what get answers for every operation and condition, and create takes for some only.
fn outward(action: &mut Value, version: Version) {
    let conditions = action.pointer_mut("/filter/conditions");
    let conditions = conditions.and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        // "The problem is suppressed" has no value: 5.0 wants an empty one, 6.0 wants none.
        if version >= V6_0 && condition["conditiontype"] == "16" {
            remove(condition, &["value"]);
        }
    }
    let is_of_service = action["eventsource"] == "4";
    for phase in [
        "operations",
        "recovery_operations",
        "update_operations",
        "acknowledge_operations",
    ] {
        let operations = action.get_mut(phase).and_then(Value::as_array_mut);
        for operation in operations.into_iter().flatten() {
            // Whoever got the problem's message gets the recovery's, by the same way.
            if operation["operationtype"] == "11" {
                remove(&mut operation["opmessage"], &["mediatypeid"]);
            }
            if operation["opmessage"]["default_msg"] == "1" {
                remove(&mut operation["opmessage"], &["subject", "message"]);
            }
            if is_of_service {
                remove(operation, &["opcommand_grp", "opcommand_hst"]);
            }
        }
    }
}

fn remove(object: &mut Value, fields: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

/// The condition types whose value is an id.
pub const CONDITIONS: [(&str, &Target); 8] = [
    ("0", &HOST_GROUP),
    ("1", &HOST),
    ("2", &TRIGGER),
    ("13", &TEMPLATE),
    ("18", &DISCOVERY_RULE),
    ("19", &DISCOVERY_CHECK),
    ("20", &PROXY),
    ("27", &SERVICE),
];

macro_rules! operations {
    ($($phase:literal),*) => {
        &[
            $(
                to(concat!($phase, "[]/opmessage/mediatypeid"), &MEDIA_TYPE),
                to(concat!($phase, "[]/opmessage_grp[]/usrgrpid"), &USER_GROUP),
                to(concat!($phase, "[]/opmessage_usr[]/userid"), &USER),
                to(concat!($phase, "[]/opcommand/scriptid"), &SCRIPT),
                to(concat!($phase, "[]/opcommand_grp[]/groupid"), &HOST_GROUP),
                to(concat!($phase, "[]/opcommand_hst[]/hostid"), &HOST),
                to(concat!($phase, "[]/opgroup[]/groupid"), &HOST_GROUP),
                to(concat!($phase, "[]/optemplate[]/templateid"), &TEMPLATE),
            )*
            condition(0), condition(1), condition(2), condition(3),
            condition(4), condition(5), condition(6), condition(7),
        ]
    };
}

const REFERENCES: &[Reference] = operations!(
    "operations",
    "recovery_operations",
    "update_operations",
    "acknowledge_operations"
);

const fn to(path: &'static str, to: &'static Target) -> Reference {
    Reference {
        path,
        to,
        when: None,
    }
}

const fn condition(index: usize) -> Reference {
    const TYPES: [[&str; 1]; 8] = {
        let mut types = [[""]; 8];
        let mut index = 0;
        while index < types.len() {
            types[index] = [CONDITIONS[index].0];
            index += 1;
        }
        types
    };
    Reference {
        path: "filter/conditions[]/value",
        to: CONDITIONS[index].1,
        when: Some(When("conditiontype", &TYPES[index])),
    }
}

const SENDS: &[&str] = &["0"];
const SENDS_TEXT: &[&str] = &["0", "11", "12"];
const ESCALATES: &[&str] = &["0", "3", "4"];
/// get answers some fields for operations of which create takes none.
const NO_SOURCE: &[&str] = &[];
const HAS_UPDATES: &[&str] = &["0", "4"];

const ONLY: &[Only] = &[
    only("esc_period", "/eventsource", ESCALATES),
    only("pause_suppressed", "/eventsource", SENDS),
    only("pause_symptoms", "/eventsource", SENDS),
    only("notify_if_canceled", "/eventsource", SENDS),
    only("recovery_operations", "/eventsource", ESCALATES),
    only("update_operations", "/eventsource", HAS_UPDATES),
    only("acknowledge_operations", "/eventsource", SENDS),
    only("filter/formula", "evaltype", &["3"]),
    only("filter/conditions[]/value2", "conditiontype", &["26"]),
    only("operations[]/esc_period", "/eventsource", ESCALATES),
    only("operations[]/esc_step_from", "/eventsource", ESCALATES),
    only("operations[]/esc_step_to", "/eventsource", ESCALATES),
    only("operations[]/evaltype", "/eventsource", &["0"]),
    only("operations[]/opconditions", "/eventsource", &["0"]),
    only("recovery_operations[]/evaltype", "/eventsource", NO_SOURCE),
    only(
        "recovery_operations[]/opconditions",
        "/eventsource",
        NO_SOURCE,
    ),
    only("update_operations[]/evaltype", "/eventsource", NO_SOURCE),
    only(
        "update_operations[]/opconditions",
        "/eventsource",
        NO_SOURCE,
    ),
    only(
        "acknowledge_operations[]/evaltype",
        "/eventsource",
        NO_SOURCE,
    ),
    only(
        "acknowledge_operations[]/opconditions",
        "/eventsource",
        NO_SOURCE,
    ),
    only("operations[]/opmessage", "operationtype", SENDS_TEXT),
    only("operations[]/opmessage_grp", "operationtype", SENDS),
    only("operations[]/opmessage_usr", "operationtype", SENDS),
];

const fn only(path: &'static str, field: &'static str, values: &'static [&'static str]) -> Only {
    Only {
        path,
        when: When(field, values),
    }
}
