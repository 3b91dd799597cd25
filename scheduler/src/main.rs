//! The command that Zabbix actions call: it scales container services, and keeps Zabbix's configuration as files.

mod cli;
mod environment;
mod quantity;
mod report;
mod zabbix;

use std::process::ExitCode;

use clap::error::ErrorKind;
use thiserror::Error;

use cli::{Command, Invocation};
use environment::Environment;
use report::Exit;

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // A closed pipe is no reason to fail: there is nobody left to tell.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
                _ => Exit::Usage,
            }
            .into();
        }
    };
    match run(invocation) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("concierge_scheduler: {error}");
            error.exit().into()
        }
    }
}

/// Whatever ends a run early.
#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Environment(#[from] environment::Error),
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Environment(_) => Exit::Usage,
            Self::Runtime(_) => Exit::Failed,
        }
    }
}

fn run(invocation: Invocation) -> Result<Exit, Error> {
    let environment = Environment::load(invocation.env_file.as_deref())?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?
        .block_on(execute(invocation.command, &environment))
}

async fn execute(command: Command, _environment: &Environment) -> Result<Exit, Error> {
    match command {
        Command::List(_) | Command::Scale(_) | Command::Resize(_) | Command::Pem(_) => {}
        Command::BackupConfig(_) | Command::RestoreConfig(_) | Command::GetSimpleIdMap(_) => {}
        Command::Upload(_) | Command::Download(_) | Command::Job(_) => {}
    }
    eprintln!("concierge_scheduler: this verb is not written yet");
    Ok(Exit::Failed)
}
