use clap::Args;
use lab::{Error, build};

#[derive(Args)]
pub struct Build {}

impl Build {
    pub fn run(self) -> Result<(), Error> {
        let built = build::courier()?;
        println!("{}", built.module.display());
        println!("{}", built.command.display());
        println!("{}", build::scheduler()?.display());
        Ok(())
    }
}
