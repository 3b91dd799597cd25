//! The command lines: the one to recommend and the three older ones, all parsed into one [`Command`].

mod line;
mod older;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

pub use line::parse;

use crate::quantity::{bytes, cores, seconds};

/// A whole command line, parsed and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// The file of settings named on the command line.
    pub env_file: Option<PathBuf>,
    /// What to do.
    pub command: Command,
}

/// Everything that the program can be asked to do, whichever command line asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Show the replicas of a component, or of the whole project.
    List(List),
    /// Add or remove replicas.
    Scale(Scale),
    /// Raise or lower the CPU or memory of each replica.
    Resize(Resize),
    /// Show, store or write out a component's Docker credentials.
    Pem(Pem),
    /// Write Zabbix's configuration to files.
    BackupConfig(BackupConfig),
    /// Bring Zabbix to the configuration in the files.
    RestoreConfig(RestoreConfig),
    /// Copy the backup to object storage.
    Upload(Upload),
    /// Copy the backup from object storage.
    Download(Storage),
    /// Print the names and ids of templates, host groups, hosts and media types.
    GetSimpleIdMap,
    /// Backup, restore, upload and delete, in that order.
    Job(Job),
}

/// `list`
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// The component; without one, every service of the project.
    pub component: Option<String>,
    /// Where the component runs.
    pub target: Target,
    /// One JSON object on standard output.
    pub json: bool,
}

/// `scale_up`, `scale_down`
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Up or down.
    pub direction: Direction,
    /// The component.
    pub component: String,
    /// The number of replicas that the caller believes to run; the engine is asked when it is absent.
    pub current: Option<u32>,
    /// How many replicas to add or remove.
    pub increment: u32,
    /// Where the component runs.
    pub target: Target,
    /// How far and how often it may be scaled.
    pub bounds: Bounds,
    /// How to act.
    pub action: Action,
}

/// `increase_memory`, `decrease_memory`, `increase_cpu`, `decrease_cpu`
#[derive(Debug, Clone, PartialEq)]
pub struct Resize {
    /// Up or down.
    pub direction: Direction,
    /// The component.
    pub component: String,
    /// What changes, and by how much.
    pub amount: Amount,
    /// Where the component runs.
    pub target: Target,
    /// How far it may grow.
    pub limits: Limits,
    /// How to act.
    pub action: ResizeAction,
}

/// Which way a verb moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// More.
    Up,
    /// Less.
    Down,
}

/// A step of a vertical verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Bytes of memory.
    Memory(u64),
    /// Billionths of a core.
    Cpu(u64),
}

/// Where a component runs, as far as the command line says it.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Target {
    /// The engine's address: unix:///var/run/docker.sock or tcp://HOST:2376 [macro {$DOCKER.HOST}; env DOCKER_HOST]
    #[arg(long, value_name = "URL")]
    pub docker_host: Option<String>,
    /// The Compose project, or the Swarm stack [macro {$COMPOSE.PROJECT}; env COMPOSE_PROJECT_NAME]
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// The service's name, where it is not the component's [macro {$SCALE.SERVICE}; env SCALE_SERVICE]
    #[arg(long, value_name = "NAME")]
    pub service_name: Option<String>,
    /// The compose file, for scaling from zero and --via compose [macro {$COMPOSE.FILE}; env COMPOSE_FILE]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which engine; by default the Docker engine is asked [macro {$SCALE.ENGINE}; env SCALE_ENGINE]
    #[arg(long)]
    pub engine: Option<Engine>,
    /// Seconds that the whole run may take [default: 10; env SCALE_TIMEOUT]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// What keeps a component's replicas together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// A Docker Compose project.
    Compose,
    /// Swarm services.
    Swarm,
}

/// How far and how often a component may be scaled, as far as the command line says it.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Bounds {
    /// Never fewer replicas than this [default: 1; macro {$SCALE.MIN}; env SCALE_MIN]
    #[arg(long, value_name = "N")]
    pub min: Option<u32>,
    /// Never more replicas than this [default: unlimited; macro {$SCALE.MAX}; env SCALE_MAX]
    #[arg(long, value_name = "N")]
    pub max: Option<u32>,
    /// Time between two steps up: 300, 5m, 1h [macro {$SCALE.COOLDOWN.UP}; env SCALE_COOLDOWN_UP]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub cooldown_up: Option<Duration>,
    /// Time between two steps down [macro {$SCALE.COOLDOWN.DOWN}; env SCALE_COOLDOWN_DOWN]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub cooldown_down: Option<Duration>,
}

/// How far a replica may grow, as far as the command line says it.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Limits {
    /// Never more cores than this [macro {$SCALE.CPU.MAX}; env SCALE_CPU_MAX]
    #[arg(long, value_name = "CORES", value_parser = cores)]
    pub cpu_max: Option<u64>,
    /// Never more memory than this [macro {$SCALE.MEMORY.MAX}; env SCALE_MEMORY_MAX]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub memory_max: Option<u64>,
}

/// How a verb that changes the number of replicas acts.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Action {
    /// Wait until the new replicas are healthy
    #[arg(long)]
    pub wait: bool,
    /// Leave the change to the Compose program
    #[arg(long)]
    pub via: Option<Via>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How a verb that changes the replicas' limits acts.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct ResizeAction {
    /// Wait until a Swarm has replaced its tasks; Compose's containers are changed in place
    #[arg(long)]
    pub wait: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The program that makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// docker-compose, or docker compose.
    Compose,
}

/// `pem`
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Pem {
    /// What to do with the credentials.
    #[command(subcommand)]
    pub verb: PemVerb,
}

/// What `pem` does.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum PemVerb {
    /// Show what the inventory holds: subjects and expiry, never the key
    Show {
        /// The component
        component: String,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Store key, certificate and CA from files into the inventory
    Put {
        /// The component
        component: String,
        /// The folder that holds key.pem, cert.pem and ca.pem
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Check the files and say what would be stored
        #[arg(long)]
        dry_run: bool,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write key.pem, cert.pem and ca.pem (0600) into a new folder (0700), for other tools
    Export {
        /// The component
        component: String,
        /// The folder; it must not exist yet
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Say what would be written
        #[arg(long)]
        dry_run: bool,
        /// Answer with one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Where a backup lies.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct ConfigDir {
    /// The backup's folder [env ZBX_CONFIG_DIR]
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `backup_config`
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct BackupConfig {
    /// Where to.
    #[command(flatten)]
    pub dir: ConfigDir,
    /// Write one file for each object
    #[arg(long)]
    pub split: bool,
    /// Write secrets too, where the API gives them
    #[arg(long)]
    pub with_secrets: bool,
    /// Read everything and say what would change, but write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `restore_config`
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct RestoreConfig {
    /// Where from.
    #[command(flatten)]
    pub dir: ConfigDir,
    /// Delete all templates of the server first [env ZBX_FORCE_TEMPLATES]
    #[arg(long)]
    pub force_templates: bool,
    /// Delete objects of this kind that the backup does not have
    #[arg(long, value_name = "KIND")]
    pub prune: Vec<String>,
    /// Print the differences, and change nothing
    #[arg(long)]
    pub diff: bool,
    /// Print the plan, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `upload`, `download`
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Storage {
    /// The local folder.
    #[command(flatten)]
    pub dir: ConfigDir,
    /// The bucket: NAME or gs://NAME, az://CONTAINER, s3://BUCKET, file:///DIR [env STORAGE_LOCATION]
    #[arg(long, value_name = "URL")]
    pub storage_location: Option<String>,
    /// The folder in the bucket [env STORAGE_FOLDER]
    #[arg(long, value_name = "NAME")]
    pub storage_folder: Option<String>,
    /// Say what would be copied, and copy nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `upload`
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Upload {
    /// From where, to where.
    #[command(flatten)]
    pub storage: Storage,
    /// Keep this many backups in the bucket, and delete older ones
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,
}

/// `job`
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Job {
    /// Back up the configuration
    #[arg(short = 'b', long)]
    pub backup: bool,
    /// Restore the configuration
    #[arg(short = 'r', long)]
    pub restore: bool,
    /// Upload the backup
    #[arg(short = 'u', long)]
    pub upload: bool,
    /// Delete the backup's local folder
    #[arg(short = 'd', long)]
    pub delete: bool,
    /// Where the backup lies, here and in the bucket.
    #[command(flatten)]
    pub copy: Upload,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn parsed(line: &str) -> Command {
        let words = std::iter::once("concierge_scheduler").chain(line.split_whitespace());
        parse(words.map(OsString::from)).unwrap().command
    }

    fn refused(words: &[&str]) -> String {
        let words = std::iter::once("concierge_scheduler").chain(words.iter().copied());
        parse(words.map(OsString::from)).unwrap_err().to_string()
    }

    fn scale(direction: Direction, current: Option<u32>, increment: u32) -> Command {
        Command::Scale(Scale {
            direction,
            component: "web".into(),
            current,
            increment,
            target: Target::default(),
            bounds: Bounds::default(),
            action: Action::default(),
        })
    }

    fn on_lab(command: Command) -> Command {
        let target = Target {
            docker_host: Some("tcp://lab:2376".into()),
            project: Some("shop".into()),
            ..Target::default()
        };
        match command {
            Command::Scale(scale) => Command::Scale(Scale { target, ..scale }),
            Command::List(list) => Command::List(List { target, ..list }),
            Command::Resize(resize) => Command::Resize(Resize { target, ..resize }),
            other => other,
        }
    }

    #[test]
    fn all_scaling_lines_parse_into_one_command() {
        assert_eq!(parsed("scale_up web"), scale(Direction::Up, None, 1));
        assert_eq!(parsed("scale_up web 2 1"), scale(Direction::Up, Some(2), 1));
        assert_eq!(
            parsed("scale_down web 5 3"),
            scale(Direction::Down, Some(5), 3)
        );
        let old = "--event-engine zabbix --container-engine docker container -u tcp://lab:2376 -p shop scale -n web -c 2 -s 1";
        for (word, direction) in [
            ("up", Direction::Up),
            ("scale_up", Direction::Up),
            ("down", Direction::Down),
            ("scale_down", Direction::Down),
        ] {
            assert_eq!(
                parsed(&format!("{old} {word}")),
                on_lab(scale(direction, Some(2), 1))
            );
        }
    }

    #[test]
    fn list_is_service_ps_is_container_list() {
        let list = |component: Option<&str>| {
            Command::List(List {
                component: component.map(str::to_owned),
                target: Target::default(),
                json: false,
            })
        };
        assert_eq!(parsed("list web"), list(Some("web")));
        assert_eq!(parsed("service_ps web"), list(Some("web")));
        let old = "container -u tcp://lab:2376 -p shop list";
        assert_eq!(parsed(old), on_lab(list(None)));
        assert_eq!(parsed(&format!("{old} -n web")), on_lab(list(Some("web"))));
    }

    #[test]
    fn the_old_memory_step_is_signed_mebibytes() {
        let resize = |direction, amount| {
            on_lab(Command::Resize(Resize {
                direction,
                component: "web".into(),
                amount,
                target: Target::default(),
                limits: Limits::default(),
                action: ResizeAction::default(),
            }))
        };
        let old = "container -u tcp://lab:2376 -p shop scale -n web -c 1";
        assert_eq!(
            parsed(&format!("{old} -s -64 memory")),
            resize(Direction::Down, Amount::Memory(64 << 20))
        );
        assert_eq!(
            parsed(&format!("{old} -s 64 memory")),
            resize(Direction::Up, Amount::Memory(64 << 20))
        );
    }

    #[test]
    fn what_does_nothing_is_refused() {
        for line in [
            "increase_memory web 64M --via compose",
            "container scale -n web -s 64 memory --via compose",
            "download --keep 3",
            "get_simple_id_map --config-dir /c",
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            let message = refused(&words);
            assert!(message.contains("--"), "{line}: {message}");
        }
    }

    #[test]
    fn two_arguments_are_refused_and_the_field_is_named() {
        assert!(refused(&["scale_up", "web", "1"]).contains("{INVENTORY.DEPLOYMENT.STATUS}"));
    }

    #[test]
    fn a_current_that_is_no_integer_is_refused_and_the_field_is_named() {
        for current in ["", "3 pods", "3.0", "{INVENTORY.DEPLOYMENT.STATUS}"] {
            let message = refused(&["scale_up", "web", current, "1"]);
            assert!(
                message.contains("{INVENTORY.DEPLOYMENT.STATUS}"),
                "{current:?}: {message}"
            );
        }
        refused(&["scale_up", "web", "3", "pods", "1"]);
        refused(&["scale_up", "web", "-3", "1"]);
        refused(&["scale_up"]);
    }

    #[test]
    fn configuration_verbs_keep_their_old_names() {
        assert_eq!(parsed("backup_app"), parsed("backup_config"));
        assert_eq!(parsed("import_app"), parsed("restore_config"));
        assert_eq!(
            parsed("event --config-dir /c backup_config"),
            parsed("backup_config --config-dir /c")
        );
        assert_eq!(
            parsed("event --config-dir /c --force-templates restore_config"),
            parsed("restore_config --config-dir /c --force-templates")
        );
        assert_eq!(
            parsed("event --config-dir /c get_simple_id_map"),
            parsed("get_simple_id_map")
        );
        let options = "--storage-location bucket --config-dir /c --storage-folder f";
        assert_eq!(
            parsed(&format!("--cloud-engine gcp cloud {options} upload")),
            parsed(&format!("upload {options}"))
        );
        let Command::Job(job) = parsed("job -b -u") else {
            panic!("not a job")
        };
        assert_eq!(
            (job.backup, job.restore, job.upload, job.delete),
            (true, false, true, false)
        );
    }
}
