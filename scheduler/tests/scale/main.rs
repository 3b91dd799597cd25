//! The scaling verbs against a real Docker engine with TLS and client certificates.

mod compose;
mod faults;
mod load;
mod stage;
mod swarm;
mod zabbix;
