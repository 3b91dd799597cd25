//! What configuration.export knows: it uses names by itself.

use super::{
    ALWAYS, HOST, HOST_GROUP, IMAGE, MAP, MEDIA_TYPE, NEVER, SCREEN, TEMPLATE, TEMPLATE_GROUP,
    V5_4, V6_2, VALUE_MAP,
};
use crate::config::kind::{Export, Form, Kind};
use crate::config::target::Target;
use crate::zabbix::{Version, dialect};

pub static HOST_GROUPS: Kind = exported(
    "host_group",
    "hostgroups",
    &Export {
        option: dialect::host_groups,
        section: dialect::host_groups,
        batch: 500,
        ..export(&HOST_GROUP, |_| "groups")
    },
);

pub static TEMPLATE_GROUPS: Kind = Kind {
    since: V6_2,
    ..exported(
        "template_group",
        "templategroups",
        &Export {
            batch: 500,
            ..export(&TEMPLATE_GROUP, |_| "template_groups")
        },
    )
};

pub static VALUE_MAPS: Kind = Kind {
    until: V5_4,
    ..exported(
        "value_map",
        "valuemaps",
        &Export {
            option: |_| "valueMaps",
            ..export(&VALUE_MAP, |_| "value_maps")
        },
    )
};

pub static IMAGES: Kind = exported("image", "images", &export(&IMAGE, |_| "images"));

pub static MEDIA_TYPES: Kind = exported(
    "media_type",
    "mediatypes",
    &Export {
        option: |_| "mediaTypes",
        ..export(&MEDIA_TYPE, |_| "media_types")
    },
);

pub static TEMPLATES: Kind = exported(
    "template",
    "templates",
    &Export {
        key: "template",
        beside: &["triggers", "graphs"],
        batch: 30,
        ..export(&TEMPLATE, |_| "templates")
    },
);

pub static HOSTS: Kind = exported(
    "host",
    "hosts",
    &Export {
        key: "host",
        beside: &["triggers", "graphs"],
        ..export(&HOST, |_| "hosts")
    },
);

pub static MAPS: Kind = exported("map", "maps", &export(&MAP, |_| "maps"));

pub static SCREENS: Kind = Kind {
    until: V5_4,
    ..exported("screen", "screens", &export(&SCREEN, |_| "screens"))
};

const fn exported(name: &'static str, file: &'static str, export: &'static Export) -> Kind {
    Kind {
        name,
        file,
        since: ALWAYS,
        until: NEVER,
        form: Form::Export(export),
        references: &[],
        only: &[],
        omit: &[],
    }
}

const fn export(target: &'static Target, section: fn(Version) -> &'static str) -> Export {
    Export {
        target,
        option: section,
        section,
        key: "name",
        beside: &[],
        batch: 100,
    }
}
