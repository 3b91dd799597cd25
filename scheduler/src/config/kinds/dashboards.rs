//! What people look at: dashboards, reports of them, icon maps, who may see which map.

use serde_json::json;

use super::{
    ACTION, ALWAYS, DASHBOARD, GRAPH, GRAPH_PROTOTYPE, HOST, HOST_GROUP, ICON_MAP, IMAGE, ITEM,
    ITEM_PROTOTYPE, MAP, MEDIA_TYPE, NEVER, REPORT, SERVICE, SLA, USER, USER_GROUP, V5_4, V6_0,
};
use crate::config::kind::{Api, Form, Kind, Reference, When};
use crate::config::target::Target;

pub static DASHBOARDS: Kind = Kind {
    name: "dashboard",
    file: "dashboards",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &DASHBOARD,
        get: |version| {
            let mut get = json!({
                "output": "extend",
                "selectUsers": "extend",
                "selectUserGroups": "extend",
            });
            let parts = if version < V5_4 {
                "selectWidgets"
            } else {
                "selectPages"
            };
            get[parts] = json!("extend");
            get
        },
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[
        to("userid", &USER),
        to("users[]/userid", &USER),
        to("userGroups[]/usrgrpid", &USER_GROUP),
        widget(0),
        widget(1),
        widget(2),
        widget(3),
        widget(4),
        widget(5),
        widget(6),
        widget(7),
        widget(8),
        widget(9),
        widget(10),
        widget(11),
        page_widget(0),
        page_widget(1),
        page_widget(2),
        page_widget(3),
        page_widget(4),
        page_widget(5),
        page_widget(6),
        page_widget(7),
        page_widget(8),
        page_widget(9),
        page_widget(10),
        page_widget(11),
    ],
    only: &[],
    omit: &["dashboard_pageid", "widgetid", "templateid", "uuid"],
};

pub static REPORTS: Kind = Kind {
    name: "report",
    file: "reports",
    since: V6_0,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &REPORT,
        get: |_| json!({"output": "extend", "selectUsers": "extend", "selectUserGroups": "extend"}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[
        to("userid", &USER),
        to("dashboardid", &DASHBOARD),
        to("users[]/userid", &USER),
        to("users[]/access_userid", &USER),
        to("user_groups[]/usrgrpid", &USER_GROUP),
        to("user_groups[]/access_userid", &USER),
    ],
    only: &[],
    omit: &["state", "lastsent", "info"],
};

pub static ICON_MAPS: Kind = Kind {
    name: "icon_map",
    file: "iconmaps",
    since: ALWAYS,
    until: NEVER,
    form: Form::Objects(&Api {
        target: &ICON_MAP,
        get: |_| json!({"output": "extend", "selectMappings": "extend"}),
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[
        to("default_iconid", &IMAGE),
        to("mappings[]/iconid", &IMAGE),
    ],
    only: &[],
    omit: &["iconmapid", "iconmappingid", "sortorder"],
};

/// Who owns a map and who may see it, which configuration.export leaves out.
pub static MAP_SHARING: Kind = Kind {
    name: "map_sharing",
    file: "map_sharing",
    since: ALWAYS,
    until: NEVER,
    form: Form::Aspect(&Api {
        target: &MAP,
        get: |_| {
            json!({
                "output": ["sysmapid", "name", "userid", "private"],
                "selectUsers": ["userid", "permission"],
                "selectUserGroups": ["usrgrpid", "permission"],
            })
        },
        inward: None,
        outward: None,
        changes_only: false,
    }),
    references: &[
        to("userid", &USER),
        to("users[]/userid", &USER),
        to("userGroups[]/usrgrpid", &USER_GROUP),
    ],
    only: &[],
    omit: &["sysmapuserid", "sysmapusrgrpid"],
};

/// The types of a widget's fields whose value is an id.
const FIELDS: [(&str, &Target); 12] = [
    ("2", &HOST_GROUP),
    ("3", &HOST),
    ("4", &ITEM),
    ("5", &ITEM_PROTOTYPE),
    ("6", &GRAPH),
    ("7", &GRAPH_PROTOTYPE),
    ("8", &MAP),
    ("9", &SERVICE),
    ("10", &SLA),
    ("11", &USER),
    ("12", &ACTION),
    ("13", &MEDIA_TYPE),
];

const TYPES: [[&str; 1]; 12] = {
    let mut types = [[""]; 12];
    let mut index = 0;
    while index < types.len() {
        types[index] = [FIELDS[index].0];
        index += 1;
    }
    types
};

const fn widget(index: usize) -> Reference {
    field("widgets[]/fields[]/value", index)
}

const fn page_widget(index: usize) -> Reference {
    field("pages[]/widgets[]/fields[]/value", index)
}

const fn field(path: &'static str, index: usize) -> Reference {
    Reference {
        path,
        to: FIELDS[index].1,
        when: Some(When("type", &TYPES[index])),
    }
}

const fn to(path: &'static str, to: &'static Target) -> Reference {
    Reference {
        path,
        to,
        when: None,
    }
}
