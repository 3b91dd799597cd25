use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use lab::{Error, build, containers, prepare, run_id};

#[derive(Args)]
pub struct Test {
    /// What `cargo test` is given beside --workspace
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Test {
    pub fn run(self) -> Result<(), Error> {
        prepare::root()?;
        prepare::machine()?;
        prepare::images()?;
        build::courier()?;
        let mut cargo = Command::new("cargo");
        cargo
            .args(["test", "--workspace"])
            .args(&self.arguments)
            .env("CONCIERGE_LAB_RUN", run_id());
        let status = cargo.status().map_err(|source| Error::Io {
            what: "cargo test".into(),
            source,
        })?;
        let left = left_behind()?;
        if !left.is_empty() {
            return Err(Error::LeftBehind { containers: left });
        }
        if !status.success() {
            return Err(Error::TestsFailed { status });
        }
        Ok(())
    }
}

/// The containers that are still there some time after the tests ended: the engine needs a moment for the last ones.
fn left_behind() -> Result<Vec<String>, Error> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left = containers()?;
        if left.is_empty() || Instant::now() > deadline {
            return Ok(left);
        }
        thread::sleep(Duration::from_millis(200));
    }
}
