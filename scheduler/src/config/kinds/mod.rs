//! The table of object kinds. Backup, plan and restore know nothing else about what Zabbix holds.

mod actions;
mod dashboards;
mod exported;
mod monitoring;
mod people;
mod settings;
mod targets;

pub use targets::*;

use super::kind::Kind;
use crate::zabbix::Version;

const ALWAYS: Version = Version(0, 0, 0);
const NEVER: Version = Version(u16::MAX, 0, 0);
const V5_2: Version = Version(5, 2, 0);
const V5_4: Version = Version(5, 4, 0);
const V6_0: Version = Version(6, 0, 0);
const V6_2: Version = Version(6, 2, 0);
const V6_4: Version = Version(6, 4, 0);
const V7_0: Version = Version(7, 0, 0);

/// Every kind, in the order of restore: what others refer to comes first.
pub static KINDS: [&Kind; 37] = [
    &monitoring::PROXY_GROUPS,
    &monitoring::PROXIES,
    &exported::HOST_GROUPS,
    &exported::TEMPLATE_GROUPS,
    &exported::VALUE_MAPS,
    &exported::IMAGES,
    &exported::MEDIA_TYPES,
    &settings::REGULAR_EXPRESSIONS,
    &settings::MACROS,
    &exported::TEMPLATES,
    &exported::HOSTS,
    &monitoring::HOST_ENCRYPTION,
    &people::USER_GROUPS,
    &monitoring::SCRIPTS,
    &monitoring::SERVICES,
    &monitoring::SERVICE_LINKS,
    &monitoring::SLAS,
    &people::ROLES,
    &people::USERS,
    &monitoring::DISCOVERY_RULES,
    &monitoring::MAINTENANCES,
    &monitoring::CORRELATIONS,
    &dashboards::ICON_MAPS,
    &exported::MAPS,
    &dashboards::MAP_SHARING,
    &exported::SCREENS,
    &dashboards::DASHBOARDS,
    &dashboards::REPORTS,
    &actions::TRIGGER_ACTIONS,
    &actions::DISCOVERY_ACTIONS,
    &actions::REGISTRATION_ACTIONS,
    &actions::INTERNAL_ACTIONS,
    &actions::SERVICE_ACTIONS,
    &settings::AUTOREGISTRATION,
    &settings::GENERAL,
    &settings::HOUSEKEEPING,
    &settings::AUTHENTICATION,
];

/// The kind of this name.
pub fn by_name(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}
