//! One file per verb.

mod build;
mod clean;
mod prepare;
mod test;
mod up;

use clap::Subcommand;
use lab::Error;

#[derive(Subcommand)]
pub enum Verb {
    /// Start a lab, print its addresses, and keep it until Ctrl-C
    Up(up::Up),
    /// Install what is missing (as root), start the Docker engine and build the images
    Prepare(prepare::Prepare),
    /// Run every test of the project
    Test(test::Test),
    /// Build libcourier.so and the command courier for every supported agent, and print where they are
    Build(build::Build),
    /// Remove the lab's images
    Clean(clean::Clean),
}

impl Verb {
    pub fn run(self) -> Result<(), Error> {
        match self {
            Self::Up(up) => up.run(),
            Self::Prepare(prepare) => prepare.run(),
            Self::Test(test) => test.run(),
            Self::Build(build) => build.run(),
            Self::Clean(clean) => clean.run(),
        }
    }
}

/// Waits for Ctrl-C or a termination signal.
fn until_interrupted() -> Result<(), Error> {
    let (sender, receiver) = std::sync::mpsc::channel();
    ctrlc::set_handler(move || {
        // A second signal finds the receiver gone; the first is enough.
        let _ = sender.send(());
    })
    .map_err(|error| Error::Io {
        what: "waiting for Ctrl-C".into(),
        source: std::io::Error::other(error),
    })?;
    // The sender lives in the handler, for as long as the process.
    let _ = receiver.recv();
    Ok(())
}
