use clap::Args;
use lab::{Error, prepare, proof};

#[derive(Args)]
pub struct Memcheck {
    /// How many errands
    #[arg(long, default_value_t = 1000)]
    errands: u64,
}

impl Memcheck {
    pub fn run(self) -> Result<(), Error> {
        prepare::root()?;
        println!("{}", proof::memcheck(self.errands)?);
        Ok(())
    }
}
