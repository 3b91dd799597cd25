//! The command that Zabbix actions call: it scales container services, and keeps Zabbix's configuration as files.

mod cli;
mod config;
mod credentials;
mod docker;
mod environment;
mod job;
mod pem;
mod progress;
mod quantity;
mod report;
mod scale;
mod service_host;
mod settings;
mod storage;
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
    #[error(transparent)]
    Scale(#[from] scale::Error),
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Job(#[from] job::Error),
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Environment(_) => Exit::Usage,
            Self::Config(error) if error.is_usage() => Exit::Usage,
            Self::Storage(error) if error.is_usage() => Exit::Usage,
            Self::Job(error) if error.is_usage() => Exit::Usage,
            Self::Config(_) | Self::Storage(_) | Self::Job(_) => Exit::Failed,
            Self::Scale(error) => error.exit(),
            Self::Credentials(_) | Self::Runtime(_) => Exit::Failed,
        }
    }
}

fn run(invocation: Invocation) -> Result<Exit, Error> {
    let environment = Environment::load(invocation.env_file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let result = runtime.block_on(execute(invocation.command, &environment));
    // Dropped, it would wait for a name server that does not answer, however long the resolver asks.
    runtime.shutdown_background();
    result
}

async fn execute(command: Command, environment: &Environment) -> Result<Exit, Error> {
    match command {
        Command::Scale(verb) => Ok(scale::scale(&verb, environment).await),
        Command::Resize(verb) => Ok(scale::resize(&verb, environment).await),
        Command::List(verb) => Ok(scale::list(&verb, environment).await?),
        Command::Pem(verb) => Ok(credentials::run(&verb, environment).await?),
        Command::BackupConfig(verb) => Ok(config::backup(&verb, environment).await?),
        Command::RestoreConfig(verb) => Ok(config::restore(&verb, environment).await?),
        Command::GetSimpleIdMap => Ok(config::id_map(environment).await?),
        Command::Upload(verb) => Ok(storage::upload(&verb, environment).await?),
        Command::Download(verb) => Ok(storage::download(&verb, environment).await?),
        Command::Job(verb) => Ok(job::job(&verb, environment).await?),
    }
}
