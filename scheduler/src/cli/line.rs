//! The command line to recommend.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};

use super::{
    Action, Amount, BackupConfig, Bounds, Command, Direction, Invocation, Job, Limits, List, Pem,
    Resize, ResizeAction, RestoreConfig, Scale, Storage, Target, Upload, older,
};
use crate::quantity::{bytes, cores};

/// Parses a whole command line, the program's name first.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let line = Line::try_parse_from(arguments)?;
    Ok(Invocation {
        env_file: line.env_file,
        command: line.verb.into_command()?,
    })
}

#[derive(Parser)]
#[command(
    name = "concierge_scheduler",
    version,
    about = "Scales container services and keeps Zabbix's configuration as files, called from Zabbix actions",
    disable_help_subcommand = true,
    subcommand_required = true
)]
struct Line {
    /// A file of NAME=VALUE lines that stand below the environment [default: /etc/concierge/scheduler.env where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(flatten)]
    engines: OldEngines,
    #[command(subcommand)]
    verb: Verb,
}

/// Older command lines name the only engines that there are.
#[derive(Args)]
struct OldEngines {
    #[arg(long, hide = true, value_parser = ["zabbix"])]
    event_engine: Option<String>,
    #[arg(long, hide = true, value_parser = ["docker"])]
    container_engine: Option<String>,
    #[arg(long, hide = true, value_parser = ["gcp"])]
    cloud_engine: Option<String>,
}

#[derive(Subcommand)]
#[command(rename_all = "snake_case")]
enum Verb {
    /// List a component's replicas
    #[command(visible_alias = "service_ps")]
    List {
        /// The component
        component: String,
        #[command(flatten)]
        target: Target,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Add replicas
    ScaleUp(Positional),
    /// Remove replicas
    ScaleDown(Positional),
    /// Raise the memory of each replica
    IncreaseMemory(MemoryStep),
    /// Lower the memory of each replica
    DecreaseMemory(MemoryStep),
    /// Raise the cores of each replica
    IncreaseCpu(CpuStep),
    /// Lower the cores of each replica
    DecreaseCpu(CpuStep),
    /// A component's Docker credentials in the inventory of its service host
    Pem(Pem),
    /// Write Zabbix's configuration to files
    #[command(visible_alias = "backup_app")]
    BackupConfig(BackupConfig),
    /// Bring Zabbix to the configuration in the files
    #[command(visible_alias = "import_app")]
    RestoreConfig(RestoreConfig),
    /// Copy the backup to object storage
    Upload(Upload),
    /// Copy the backup from object storage
    Download(Storage),
    /// Print the names and ids of templates, host groups, hosts and media types
    GetSimpleIdMap {
        /// Answer with one JSON object, as it does without this too
        #[arg(long)]
        json: bool,
    },
    /// Backup, restore, upload and delete, in that order
    Job(Job),
    /// Container services, as earlier programs had it; list, scale_up and scale_down are the same
    #[command(hide = true)]
    Container(older::Container),
    /// Zabbix's configuration, as earlier programs had it; backup_config and restore_config are the same
    #[command(hide = true)]
    Event(older::Event),
    /// Object storage, as earlier programs had it; upload is the same
    #[command(hide = true)]
    Cloud(older::Cloud),
}

impl Verb {
    fn into_command(self) -> Result<Command, clap::Error> {
        Ok(match self {
            Self::List {
                component,
                target,
                json,
            } => Command::List(List {
                component: Some(component),
                target,
                json,
            }),
            Self::ScaleUp(line) => Command::Scale(line.into_scale(Direction::Up)?),
            Self::ScaleDown(line) => Command::Scale(line.into_scale(Direction::Down)?),
            Self::IncreaseMemory(line) => Command::Resize(line.into_resize(Direction::Up)),
            Self::DecreaseMemory(line) => Command::Resize(line.into_resize(Direction::Down)),
            Self::IncreaseCpu(line) => Command::Resize(line.into_resize(Direction::Up)),
            Self::DecreaseCpu(line) => Command::Resize(line.into_resize(Direction::Down)),
            Self::Pem(pem) => Command::Pem(pem),
            Self::BackupConfig(backup) => Command::BackupConfig(backup),
            Self::RestoreConfig(restore) => Command::RestoreConfig(restore),
            Self::Upload(upload) => Command::Upload(upload),
            Self::Download(storage) => Command::Download(storage),
            Self::GetSimpleIdMap { .. } => Command::GetSimpleIdMap,
            Self::Job(job) => Command::Job(job),
            Self::Container(line) => line.into_command()?,
            Self::Event(line) => line.into_command(),
            Self::Cloud(line) => line.into_command(),
        })
    }
}

#[derive(Args)]
struct Positional {
    /// The component, alone or with the number that runs and the increment
    #[arg(required = true, num_args = 1..=3, value_names = ["COMPONENT", "CURRENT", "INCREMENT"])]
    words: Vec<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    action: Action,
}

impl Positional {
    fn into_scale(self, direction: Direction) -> Result<Scale, clap::Error> {
        let (component, current, increment) = match self.words.as_slice() {
            [component] => (component, None, 1),
            [component, current, increment] => (
                component,
                Some(current_of(current)?),
                increment_of(increment)?,
            ),
            _ => {
                return Err(usage(
                    "give the component alone, or the component, the current number and the increment. \
                     Two arguments are what an empty inventory field {INVENTORY.DEPLOYMENT.STATUS} leaves of three: \
                     fill the field, or leave the last two arguments out, and the engine is asked",
                ));
            }
        };
        Ok(Scale {
            direction,
            component: component.clone(),
            current,
            increment,
            target: self.target,
            bounds: self.bounds,
            action: self.action,
        })
    }
}

#[derive(Args)]
struct MemoryStep {
    /// The component
    component: String,
    /// The step: 64M, 1G
    #[arg(value_parser = bytes)]
    amount: u64,
    #[command(flatten)]
    step: Step,
}

impl MemoryStep {
    fn into_resize(self, direction: Direction) -> Resize {
        self.step
            .into_resize(direction, self.component, Amount::Memory(self.amount))
    }
}

#[derive(Args)]
struct CpuStep {
    /// The component
    component: String,
    /// The step in cores: 0.25
    #[arg(value_parser = cores)]
    amount: u64,
    #[command(flatten)]
    step: Step,
}

impl CpuStep {
    fn into_resize(self, direction: Direction) -> Resize {
        self.step
            .into_resize(direction, self.component, Amount::Cpu(self.amount))
    }
}

#[derive(Args)]
struct Step {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    action: ResizeAction,
}

impl Step {
    fn into_resize(self, direction: Direction, component: String, amount: Amount) -> Resize {
        Resize {
            direction,
            component,
            amount,
            target: self.target,
            limits: self.limits,
            action: self.action,
        }
    }
}

pub(super) fn current_of(text: &str) -> Result<u32, clap::Error> {
    text.parse().map_err(|_| {
        usage(&format!(
            "the current number {text:?} is not a whole number: the inventory field {{INVENTORY.DEPLOYMENT.STATUS}} \
             must hold the bare count (no unit). Leave the last two arguments out, and the engine is asked"
        ))
    })
}

pub(super) fn increment_of(text: &str) -> Result<u32, clap::Error> {
    text.parse().map_err(|_| {
        usage(&format!(
            "the increment {text:?} is not a whole number of replicas, such as 1"
        ))
    })
}

pub(super) fn usage(message: &str) -> clap::Error {
    Line::command().error(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Line::command().debug_assert();
    }
}
