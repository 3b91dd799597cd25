use clap::Args;
use lab::{Error, prepare};

#[derive(Args)]
pub struct Prepare {}

impl Prepare {
    pub fn run(self) -> Result<(), Error> {
        prepare::machine()?;
        prepare::images()
    }
}
