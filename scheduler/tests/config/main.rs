//! Zabbix's configuration as files, on real servers of the lab.

mod command;
mod faults;
mod hops;
mod interrupted;
mod legacy;
mod population;
mod proxy;
mod round_trip;
mod server;
