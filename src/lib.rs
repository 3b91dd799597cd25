//! The Concierge Courier: one errand from an application to Zabbix.
