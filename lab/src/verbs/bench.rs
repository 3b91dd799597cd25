use clap::Args;
use lab::{Error, bench, prepare};

#[derive(Args)]
pub struct Bench {
    /// The numbers of timers in the bodies
    #[arg(long, value_delimiter = ',', default_value = "1,20,2000,20000")]
    timers: Vec<usize>,

    /// How often each way runs with each body
    #[arg(long, default_value_t = 7)]
    rounds: usize,

    /// Instead: the courier and the seeds' way in containers of 128 MB and a fifth of a core, a push every 30 s
    #[arg(long, conflicts_with_all = ["timers", "rounds"])]
    container: bool,

    /// How long --container goes on
    #[arg(long, default_value_t = 10, requires = "container")]
    minutes: u64,
}

impl Bench {
    pub fn run(self) -> Result<(), Error> {
        prepare::root()?;
        if self.container {
            for way in bench::in_a_small_container(self.minutes)? {
                println!("{way}");
            }
            return Ok(());
        }
        let mut report = bench::Report::default();
        for timers in self.timers {
            bench::side_by_side(timers, self.rounds, &mut report)?;
            // A later body may fail: what is known by then is kept.
            report.write()?;
            println!("{}", report.table());
        }
        println!("target/bench has these as results.json, and a plot: results.svg");
        Ok(())
    }
}
