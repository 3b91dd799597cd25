use clap::Args;
use lab::{Error, bench};

#[derive(Args)]
pub struct Instructions {
    /// Fail when they are more than 5 % above those committed in benches/instructions.json
    #[arg(long)]
    check: bool,

    /// Write them to benches/instructions.json
    #[arg(long, conflicts_with = "check")]
    accept: bool,
}

impl Instructions {
    pub fn run(self) -> Result<(), Error> {
        let now = bench::Instructions::count()?;
        println!("Instructions for each value of a push:");
        for (phase, count) in now.phases() {
            println!("  {phase:<6} {count:>8.1}");
        }
        println!("  all    {:>8.1}", now.sum());
        if self.accept {
            now.commit()?;
        }
        if self.check {
            now.check(&bench::Instructions::committed()?)?;
        }
        Ok(())
    }
}
