use clap::Args;
use lab::{Error, Lab, Version, prepare, progress::Step};

#[derive(Args)]
pub struct Up {
    /// The version of Zabbix: 5.0, 6.0 or 7.0
    #[arg(long, default_value_t = Version::V6_0)]
    zabbix: Version,

    /// Leave the module out of the agent
    #[arg(long)]
    without_module: bool,
}

impl Up {
    pub fn run(self) -> Result<(), Error> {
        prepare::machine()?;
        let mut builder = Lab::builder().zabbix(self.zabbix);
        if self.without_module {
            builder = builder.without_module();
        }
        let step = Step::begin(format!("Starting Zabbix {}", self.zabbix));
        let lab = builder.start()?;
        step.done();
        let interrupted = super::on_interrupt()?;
        println!("frontend  {} (Admin / zabbix)", lab.frontend_url());
        println!("server    docker exec -it {} bash", lab.pod().name());
        println!("Ctrl-C stops and removes all of it.");
        // The sender lives as long as the process: there is nothing else to receive.
        let _ = interrupted.recv();
        Ok(())
    }
}
