//! Zabbix's trapper: values delivered as `zabbix_sender` delivers them, all of a snapshot in one request.

pub mod client;
pub mod deliver;
pub mod destination;
pub mod frame;
mod name;
pub mod reply;
pub mod request;
pub mod tls;
