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

/// What the tests run on; the benchmark takes more.
const SMALL: population::Size = population::Size {
    hosts: 3,
    templates: 2,
};
