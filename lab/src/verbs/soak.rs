use clap::Args;
use lab::{Error, Version, prepare, proof};

#[derive(Args)]
pub struct Soak {
    /// How many items are asked for
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,

    /// The version of Zabbix: 5.0, 6.0 or 7.0
    #[arg(long, default_value_t = Version::V6_0)]
    zabbix: Version,
}

impl Soak {
    pub fn run(self) -> Result<(), Error> {
        prepare::root()?;
        println!("{}", proof::soak(self.zabbix, self.calls)?);
        Ok(())
    }
}
