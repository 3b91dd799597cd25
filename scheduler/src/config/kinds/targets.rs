//! Everything that a reference may point to.

use super::{ALWAYS, V5_2, V6_0, V6_2, V7_0};
use crate::config::target::{Naming, Target};
use crate::zabbix::{Version, dialect};

const NAME: Naming = Naming::Field(|_| "name");
const HOST_FIELD: Naming = Naming::Field(|_| "host");

const fn target(
    name: &'static str,
    api: &'static str,
    id: &'static str,
    naming: Naming,
    since: Version,
) -> Target {
    Target {
        name,
        api,
        id,
        naming,
        since,
    }
}

macro_rules! targets {
    ($($ident:ident = $name:literal $api:literal $id:literal $naming:expr, $since:expr;)*) => {
        $(
            #[doc = concat!("A ", $name, ".")]
            pub static $ident: Target = target($name, $api, $id, $naming, $since);
        )*
        /// All of them; a discovery rule comes before its checks.
        pub static TARGETS: &[&Target] = &[$(&$ident),*];
    };
}

targets! {
    HOST_GROUP = "host group" "hostgroup" "groupid" NAME, ALWAYS;
    TEMPLATE_GROUP = "template group" "templategroup" "groupid" NAME, V6_2;
    HOST = "host" "host" "hostid" HOST_FIELD, ALWAYS;
    TEMPLATE = "template" "template" "templateid" HOST_FIELD, ALWAYS;
    TRIGGER = "trigger" "trigger" "triggerid" Naming::OnHost("description"), ALWAYS;
    ITEM = "item" "item" "itemid" Naming::OnHost("key_"), ALWAYS;
    ITEM_PROTOTYPE = "item prototype" "itemprototype" "itemid" Naming::OnHost("key_"), ALWAYS;
    GRAPH = "graph" "graph" "graphid" Naming::OnHost("name"), ALWAYS;
    GRAPH_PROTOTYPE = "graph prototype" "graphprototype" "graphid" Naming::OnHost("name"), ALWAYS;
    MEDIA_TYPE = "media type" "mediatype" "mediatypeid" NAME, ALWAYS;
    USER = "user" "user" "userid" Naming::Field(dialect::user_name), ALWAYS;
    USER_GROUP = "user group" "usergroup" "usrgrpid" NAME, ALWAYS;
    ROLE = "role" "role" "roleid" NAME, V5_2;
    MODULE = "module" "module" "moduleid" Naming::Field(|_| "id"), V5_2;
    SCRIPT = "script" "script" "scriptid" Naming::InMenu, ALWAYS;
    PROXY = "proxy" "proxy" "proxyid" Naming::Field(dialect::proxy_name), ALWAYS;
    PROXY_GROUP = "proxy group" "proxygroup" "proxy_groupid" NAME, V7_0;
    SERVICE = "service" "service" "serviceid" Naming::InTree, ALWAYS;
    SLA = "SLA" "sla" "slaid" NAME, V6_0;
    DISCOVERY_RULE = "discovery rule" "drule" "druleid" NAME, ALWAYS;
    DISCOVERY_CHECK = "discovery check" "dcheck" "dcheckid" Naming::Check, ALWAYS;
    ACTION = "action" "action" "actionid" NAME, ALWAYS;
    MAINTENANCE = "maintenance" "maintenance" "maintenanceid" NAME, ALWAYS;
    CORRELATION = "event correlation" "correlation" "correlationid" NAME, ALWAYS;
    MACRO = "global macro" "usermacro" "globalmacroid" Naming::Field(|_| "macro"), ALWAYS;
    REGULAR_EXPRESSION = "regular expression" "regexp" "regexpid" NAME, V6_0;
    IMAGE = "image" "image" "imageid" NAME, ALWAYS;
    ICON_MAP = "icon map" "iconmap" "iconmapid" NAME, ALWAYS;
    MAP = "map" "map" "sysmapid" NAME, ALWAYS;
    DASHBOARD = "dashboard" "dashboard" "dashboardid" NAME, ALWAYS;
    REPORT = "scheduled report" "report" "reportid" NAME, V6_0;
    USER_DIRECTORY = "user directory" "userdirectory" "userdirectoryid" NAME, V6_2;
    MFA = "MFA method" "mfa" "mfaid" NAME, V7_0;
}

/// Global value maps, up to 5.2.
pub static VALUE_MAP: Target = target("value map", "valuemap", "valuemapid", NAME, ALWAYS);
/// Screens, up to 5.2.
pub static SCREEN: Target = target("screen", "screen", "screenid", NAME, ALWAYS);
/// Settings, of which there is one of each.
pub static AUTOREGISTRATION: Target = single("autoregistration settings", "autoregistration");
/// General settings.
pub static GENERAL: Target = single("general settings", "settings");
/// Settings of the housekeeper.
pub static HOUSEKEEPING: Target = single("housekeeping settings", "housekeeping");
/// Settings of authentication.
pub static AUTHENTICATION: Target = single("authentication settings", "authentication");

const fn single(name: &'static str, api: &'static str) -> Target {
    target(name, api, "", Naming::Single, ALWAYS)
}
