//! Zabbix's configuration as files, on real servers of the lab.

mod command;
mod deletions;
mod faults;
mod hops;
mod interrupted;
mod job;
mod legacy;
mod population;
mod proxy;
mod round_trip;
mod secrets;
mod server;
mod split;

/// What the tests run on; the benchmark takes more.
const SMALL: population::Size = population::Size {
    hosts: 3,
    templates: 2,
};
