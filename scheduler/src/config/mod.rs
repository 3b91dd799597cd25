//! Zabbix's configuration as files.

mod interfaces;
mod kind;
mod kinds;
mod names;
mod normal;
mod observe;
mod path;
mod progress;
mod snapshot;
mod target;
