//! The Concierge Courier: an application's metrics, discovered and delivered to Zabbix in one request.

pub mod format;
pub mod metric;
