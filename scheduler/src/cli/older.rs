//! The command lines of the older program, which stored Zabbix actions still hold.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Action, Amount, BackupConfig, Bounds, Command, ConfigDir, Direction, Engine, Limits, List,
    Resize, RestoreConfig, Scale, Storage, Target,
    line::{current_of, increment_of, usage},
};
use crate::quantity::seconds;

#[derive(Args)]
pub(super) struct Container {
    #[arg(short = 'u', long)]
    url: Option<String>,
    #[arg(short = 'p', long)]
    project: Option<String>,
    #[command(subcommand)]
    verb: ContainerVerb,
}

#[derive(Subcommand)]
enum ContainerVerb {
    List {
        #[arg(short = 'n', long)]
        service_name: Option<String>,
        #[command(flatten)]
        rest: Rest,
        #[arg(long)]
        json: bool,
    },
    Scale {
        #[arg(short = 'n', long)]
        service_name: String,
        #[arg(short = 'c', long)]
        current: Option<String>,
        #[arg(short = 's', long, allow_hyphen_values = true)]
        scale: Option<String>,
        #[arg(value_enum)]
        direction: Word,
        #[command(flatten)]
        rest: Rest,
        #[command(flatten)]
        bounds: Bounds,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        action: Action,
    },
}

/// What the newer options add to an older line.
#[derive(Args)]
struct Rest {
    #[arg(long)]
    file: Option<PathBuf>,
    #[arg(long)]
    engine: Option<Engine>,
    #[arg(long, value_parser = seconds)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Word {
    Up,
    ScaleUp,
    Down,
    ScaleDown,
    Memory,
}

impl Container {
    pub(super) fn into_command(self) -> Result<Command, clap::Error> {
        let target = |rest: Rest| Target {
            docker_host: self.url,
            project: self.project,
            service_name: None,
            file: rest.file,
            engine: rest.engine,
            timeout: rest.timeout,
        };
        let (component, current, step, direction, target, bounds, limits, action) = match self.verb
        {
            ContainerVerb::List {
                service_name,
                rest,
                json,
            } => {
                return Ok(Command::List(List {
                    component: service_name,
                    target: target(rest),
                    json,
                }));
            }
            ContainerVerb::Scale {
                service_name,
                current,
                scale,
                direction,
                rest,
                bounds,
                limits,
                action,
            } => (
                service_name,
                current,
                scale,
                direction,
                target(rest),
                bounds,
                limits,
                action,
            ),
        };
        let direction = match direction {
            Word::Up | Word::ScaleUp => Direction::Up,
            Word::Down | Word::ScaleDown => Direction::Down,
            Word::Memory => {
                let step = step.as_deref().unwrap_or_default();
                let (direction, amount) = mebibytes(step)?;
                return Ok(Command::Resize(Resize {
                    direction,
                    component,
                    amount,
                    target,
                    limits,
                    action,
                }));
            }
        };
        Ok(Command::Scale(Scale {
            direction,
            component,
            current: current.as_deref().map(current_of).transpose()?,
            increment: step.as_deref().map_or(Ok(1), increment_of)?,
            target,
            bounds,
            action,
        }))
    }
}

#[derive(Args)]
pub(super) struct Event {
    #[arg(long)]
    config_dir: Option<PathBuf>,
    #[arg(long)]
    force_templates: bool,
    #[arg(long)]
    json: bool,
    #[arg(long)]
    dry_run: bool,
    #[arg(value_enum)]
    verb: EventVerb,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum EventVerb {
    BackupConfig,
    RestoreConfig,
    GetSimpleIdMap,
}

impl Event {
    pub(super) fn into_command(self) -> Command {
        let dir = ConfigDir {
            config_dir: self.config_dir,
            json: self.json,
        };
        match self.verb {
            EventVerb::BackupConfig => Command::BackupConfig(BackupConfig {
                dir,
                dry_run: self.dry_run,
                ..BackupConfig::default()
            }),
            EventVerb::RestoreConfig => Command::RestoreConfig(RestoreConfig {
                dir,
                force_templates: self.force_templates,
                dry_run: self.dry_run,
                ..RestoreConfig::default()
            }),
            EventVerb::GetSimpleIdMap => Command::GetSimpleIdMap(dir),
        }
    }
}

#[derive(Args)]
pub(super) struct Cloud {
    #[command(flatten)]
    storage: Storage,
    #[arg(value_parser = ["upload"])]
    verb: String,
}

impl Cloud {
    pub(super) fn into_command(self) -> Command {
        Command::Upload(self.storage)
    }
}

fn mebibytes(text: &str) -> Result<(Direction, Amount), clap::Error> {
    let step: i32 = text.parse().map_err(|_| {
        usage(&format!(
            "the memory step -s {text:?} is not a signed number of MiB, such as 64 or -64"
        ))
    })?;
    let direction = if step < 0 {
        Direction::Down
    } else {
        Direction::Up
    };
    Ok((
        direction,
        Amount::Memory(u64::from(step.unsigned_abs()) << 20),
    ))
}
