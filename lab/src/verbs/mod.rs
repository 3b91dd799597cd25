//! One file per verb.

mod bench;
mod build;
mod clean;
mod demo;
mod faults;
mod instructions;
mod memcheck;
mod outages;
mod prepare;
mod soak;
mod test;
mod up;

use std::sync::mpsc::Receiver;

use clap::Subcommand;
use lab::Error;

#[derive(Subcommand)]
pub enum Verb {
    /// Start a lab, print its addresses, and keep it until Ctrl-C
    Up(up::Up),
    /// Start a lab with an application, and show its metrics being discovered and delivered
    Demo(demo::Demo),
    /// Install what is missing (as root), start the Docker engine and build the images
    Prepare(prepare::Prepare),
    /// Run every test of the project
    Test(test::Test),
    /// Build libcourier.so, courier and concierge_scheduler for every supported Debian, and print where they are
    Build(build::Build),
    /// Measure the courier beside other ways to deliver the same values
    Bench(bench::Bench),
    /// Count the instructions of a push, value by value
    Instructions(instructions::Instructions),
    /// Push under every fault, and count the answers in time
    Faults(faults::Faults),
    /// Push through outages of the server and deaths of the agent, and account for every snapshot
    Outages(outages::Outages),
    /// Run errands in an agent under valgrind's memcheck
    Memcheck(memcheck::Memcheck),
    /// Ask an agent for a million items of all kinds, and look whether it stays what it is
    Soak(soak::Soak),
    /// Remove the lab's images
    Clean(clean::Clean),
}

impl Verb {
    pub fn run(self) -> Result<(), Error> {
        match self {
            Self::Up(up) => up.run(),
            Self::Demo(demo) => demo.run(),
            Self::Prepare(prepare) => prepare.run(),
            Self::Test(test) => test.run(),
            Self::Build(build) => build.run(),
            Self::Bench(bench) => bench.run(),
            Self::Instructions(instructions) => instructions.run(),
            Self::Faults(faults) => faults.run(),
            Self::Outages(outages) => outages.run(),
            Self::Memcheck(memcheck) => memcheck.run(),
            Self::Soak(soak) => soak.run(),
            Self::Clean(clean) => clean.run(),
        }
    }
}

/// A message comes when Ctrl-C or a termination signal does.
fn on_interrupt() -> Result<Receiver<()>, Error> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let handler = move || {
        // A second signal may find the receiver gone; the first was enough.
        let _ = sender.send(());
    };
    ctrlc::set_handler(handler).map_err(|error| Error::Io {
        what: "waiting for Ctrl-C".into(),
        source: std::io::Error::other(error),
    })?;
    Ok(receiver)
}
