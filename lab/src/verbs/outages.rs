use clap::Args;
use lab::{Error, Version, prepare, proof};

#[derive(Args)]
pub struct Outages {
    /// How many snapshots are pushed
    #[arg(long, default_value_t = 1000)]
    snapshots: u64,

    /// How often the server is cut off
    #[arg(long, default_value_t = 50)]
    outages: u64,

    /// How often the agent is killed while it pushes
    #[arg(long, default_value_t = 20)]
    kills: u64,

    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The version of Zabbix: 5.0 (which would keep a value twice), 6.0 or 7.0
    #[arg(long, default_value_t = Version::V5_0)]
    zabbix: Version,
}

impl Outages {
    pub fn run(self) -> Result<(), Error> {
        prepare::root()?;
        let plan = proof::Plan {
            seed: self.seed,
            snapshots: self.snapshots,
            outages: self.outages,
            kills: self.kills,
        };
        println!("{}", proof::outages(self.zabbix, plan)?);
        Ok(())
    }
}
