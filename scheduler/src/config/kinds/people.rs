//! Users, their groups and their roles.

use serde_json::{Value, json};

use super::{
    ALWAYS, HOST_GROUP, MEDIA_TYPE, MFA, MODULE, NEVER, ROLE, SERVICE, TEMPLATE_GROUP, USER,
    USER_DIRECTORY, USER_GROUP, V5_2,
};
use crate::config::kind::{Api, Form, Kind, Only, Reference, When};
use crate::zabbix::{Version, dialect};

pub static USER_GROUPS: Kind = Kind {
    name: "user_group",
    file: "usergroups",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &USER_GROUP,
        get: |version| {
            let mut get = json!({"output": "extend", "selectTagFilters": "extend"});
            if dialect::template_groups(version) {
                get["selectHostGroupRights"] = json!("extend");
                get["selectTemplateGroupRights"] = json!("extend");
            } else {
                get["selectRights"] = json!("extend");
            }
            get
        },
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[
        to("rights[]/id", &HOST_GROUP),
        to("hostgroup_rights[]/id", &HOST_GROUP),
        to("templategroup_rights[]/id", &TEMPLATE_GROUP),
        to("tag_filters[]/groupid", &HOST_GROUP),
        to("userdirectoryid", &USER_DIRECTORY),
        to("mfaid", &MFA),
    ],
    only: &[Only {
        path: "userdirectoryid",
        when: When("gui_access", &["0", "2"]),
    }],
    omit: &[],
};

pub static ROLES: Kind = Kind {
    name: "role",
    file: "roles",
    since: V5_2,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &ROLE,
        get: |_| json!({"output": "extend", "selectRules": "extend"}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[
        to("rules/services.read.list[]/serviceid", &SERVICE),
        to("rules/services.write.list[]/serviceid", &SERVICE),
        to("rules/modules[]/moduleid", &MODULE),
    ],
    only: &[],
    omit: &["readonly"],
};

pub static USERS: Kind = Kind {
    name: "user",
    file: "users",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &USER,
        get: |_| {
            json!({
                "output": "extend",
                "selectUsrgrps": ["usrgrpid"],
                "selectMedias": ["mediatypeid", "sendto", "active", "severity", "period"],
            })
        },
        inward: None,
        outward: Some(medias),
        changes_only: true,
    }),
    references: &[
        to("usrgrps[]/usrgrpid", &USER_GROUP),
        to("medias[]/mediatypeid", &MEDIA_TYPE),
        to("roleid", &ROLE),
        to("userdirectoryid", &USER_DIRECTORY),
    ],
    only: &[],
    omit: &[
        "passwd",
        "attempt_failed",
        "attempt_ip",
        "attempt_clock",
        "ts_provisioned",
        "provisioned",
        "mediaid",
        "userdirectory_mediaid",
    ],
};

fn medias(user: &mut Value, version: Version) {
    let Some(user) = user.as_object_mut() else {
        return;
    };
    if let Some(medias) = user.remove("medias") {
        user.insert(dialect::user_medias(version).to_owned(), medias);
    }
}

const fn to(path: &'static str, to: &'static crate::config::target::Target) -> Reference {
    Reference {
        path,
        to,
        when: None,
    }
}
