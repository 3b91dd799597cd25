//! Commands that Zabbix actions call.

fn main() {}
