use clap::Args;
use lab::{Error, Version, prepare, proof};

#[derive(Args)]
pub struct Faults {
    /// How often each fault is met
    #[arg(long, default_value_t = 100)]
    times: u64,

    /// The version of Zabbix: 5.0, 6.0 or 7.0
    #[arg(long, default_value_t = Version::V6_0)]
    zabbix: Version,
}

impl Faults {
    pub fn run(self) -> Result<(), Error> {
        prepare::root()?;
        println!("{}", proof::faults(self.zabbix, self.times)?);
        Ok(())
    }
}
