//! What holds for the whole server: macros, regular expressions, and the settings of which there is one each.

use serde_json::json;

use super::{
    ALWAYS, AUTHENTICATION as AUTHENTICATION_TARGET, AUTOREGISTRATION as AUTOREGISTRATION_TARGET,
    GENERAL as GENERAL_TARGET, HOST_GROUP, HOUSEKEEPING as HOUSEKEEPING_TARGET, MACRO, MFA, NEVER,
    REGULAR_EXPRESSION, USER_DIRECTORY, USER_GROUP, V5_2, V6_0,
};
use crate::config::kind::{Api, Form, Kind, Only, Reference, When};
use crate::config::target::Target;

pub static MACROS: Kind = Kind {
    name: "macro",
    file: "macros",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &MACRO,
        get: |_| json!({"output": "extend", "globalmacro": true}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[],
    only: &[],
    omit: &["hostmacroid", "hostid", "automatic"],
};

pub static REGULAR_EXPRESSIONS: Kind = Kind {
    name: "regular_expression",
    file: "regular_expressions",
    since: V6_0,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &REGULAR_EXPRESSION,
        get: |_| json!({"output": "extend", "selectExpressions": "extend"}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[],
    only: &[Only {
        path: "expressions[]/exp_delimiter",
        when: When("expression_type", &["1"]),
    }],
    omit: &["expressionid"],
};

pub static AUTOREGISTRATION: Kind = Kind {
    omit: &["tls_psk_identity", "tls_psk"],
    ..setting("autoregistration", &api(&AUTOREGISTRATION_TARGET))
};

pub static GENERAL: Kind = Kind {
    since: V5_2,
    references: &[
        to("discovery_groupid", &HOST_GROUP),
        to("alert_usrgrpid", &USER_GROUP),
    ],
    // The high-availability delay is the running server's own.
    omit: &["ha_failover_delay"],
    ..setting("settings", &api(&GENERAL_TARGET))
};

pub static HOUSEKEEPING: Kind = Kind {
    since: V5_2,
    omit: &[
        "db_extension",
        "compression_availability",
        "compression_status",
    ],
    ..setting("housekeeping", &api(&HOUSEKEEPING_TARGET))
};

pub static AUTHENTICATION: Kind = Kind {
    since: V5_2,
    references: &[
        to("disabled_usrgrpid", &USER_GROUP),
        to("ldap_userdirectoryid", &USER_DIRECTORY),
        to("mfaid", &MFA),
    ],
    omit: &["ldap_configured"],
    ..setting("authentication", &api(&AUTHENTICATION_TARGET))
};

const fn setting(name: &'static str, api: &'static Api) -> Kind {
    Kind {
        name,
        file: name,
        since: ALWAYS,
        until: NEVER,
        form: Form::Setting(api),
        references: &[],
        only: &[],
        omit: &[],
    }
}

const fn api(target: &'static Target) -> Api {
    Api {
        target,
        get: |_| json!({"output": "extend"}),
        inward: None,
        outward: None,
        changes_only: true,
    }
}

const fn to(path: &'static str, to: &'static Target) -> Reference {
    Reference {
        path,
        to,
        when: None,
    }
}
