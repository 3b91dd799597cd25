//! Zabbix's configuration as files, on real servers of the lab.

mod command;
mod hops;
mod population;
mod round_trip;
mod server;
