//! The command lines of the older program, which stored Zabbix actions still hold.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Action, Amount, BackupConfig, Bounds, Command, ConfigDir, Direction, Engine, Limits, List,
    Resize, ResizeAction, RestoreConfig, Scale, Target, Upload,
    line::{current_of, increment_of, usage},
};
use crate::quantity::seconds;

#[derive(Args)]
pub(super) struct Container {
    /// The engine's address, as --docker-host of the newer verbs
    #[arg(short = 'u', long)]
    url: Option<String>,
    /// The Compose project, or the Swarm stack
    #[arg(short = 'p', long, value_name = "NAME")]
    project: Option<String>,
    #[command(subcommand)]
    verb: ContainerVerb,
}

#[derive(Subcommand)]
enum ContainerVerb {
    /// List the replicas of a service, or of all services of the project or stack
    List {
        /// The component
        #[arg(short = 'n', long, value_name = "COMPONENT")]
        service_name: Option<String>,
        #[command(flatten)]
        rest: Rest,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Add or remove replicas, or change the memory of each
    Scale {
        /// The component
        #[arg(short = 'n', long, value_name = "COMPONENT")]
        service_name: String,
        /// The number of replicas that runs; without it the engine is asked
        #[arg(short = 'c', long)]
        current: Option<String>,
        /// How many replicas more or less [default: 1]; for memory the MiB, less with a sign: 64, -64
        #[arg(short = 's', long, value_name = "STEP", allow_hyphen_values = true)]
        scale: Option<String>,
        /// What to change
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
    /// The compose file, for scaling from zero and --via compose
    #[arg(long)]
    file: Option<PathBuf>,
    /// Which engine; by default the Docker engine is asked
    #[arg(long)]
    engine: Option<Engine>,
    /// Seconds that the whole run may take [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Word {
    /// More replicas
    Up,
    /// More replicas
    ScaleUp,
    /// Fewer replicas
    Down,
    /// Fewer replicas
    ScaleDown,
    /// The memory of each replica
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
                if action.via.is_some() {
                    return Err(usage("--via is for numbers of replicas, not for memory"));
                }
                let step = step.as_deref().unwrap_or_default();
                let (direction, amount) = mebibytes(step)?;
                return Ok(Command::Resize(Resize {
                    direction,
                    component,
                    amount,
                    target,
                    limits,
                    action: ResizeAction {
                        wait: action.wait,
                        dry_run: action.dry_run,
                        json: action.json,
                    },
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
    /// The backup's folder; get_simple_id_map needs none [env ZBX_CONFIG_DIR]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// For restore_config: delete all templates of the server first [env ZBX_FORCE_TEMPLATES]
    #[arg(long)]
    force_templates: bool,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// What to do
    #[arg(value_enum)]
    verb: EventVerb,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum EventVerb {
    /// Write Zabbix's configuration to files
    BackupConfig,
    /// Bring Zabbix to the configuration in the files
    RestoreConfig,
    /// Print the names and ids of templates, host groups, hosts and media types
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
            EventVerb::GetSimpleIdMap => Command::GetSimpleIdMap,
        }
    }
}

#[derive(Args)]
pub(super) struct Cloud {
    #[command(flatten)]
    upload: Upload,
    /// What to do
    #[arg(value_parser = ["upload"])]
    verb: String,
}

impl Cloud {
    pub(super) fn into_command(self) -> Command {
        Command::Upload(self.upload)
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
