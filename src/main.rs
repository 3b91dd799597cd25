//! The command `courier`: the items of the module without a loaded module.
//!
//! Standard output is exactly an item's value; all else goes to standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser, Subcommand};
use courier::abi::{self, Answer};
use courier::board::{self, Board};
use courier::deadline::Deadline;
use courier::environment::Environment;
use courier::item::{self, explain::Refusals};
use courier::key;
use courier::select::Selection;
use courier::trapper::deliver::{self, Delivery};
use courier::trapper::destination::{self, Destination};
use courier::trapper::request::{Naming, Request};

/// Discovers an application's metrics and delivers them to Zabbix in one request.
///
/// A SOURCE is a name from courier.toml or a URL: http://, https://, file:///path or unix:///path/to.sock:/http/path.
/// What may be read is what courier.toml allows; without it, this machine's HTTP endpoints.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 all values processed; 2 the server refused some or all of them; \
                  1 the errand failed or no server answered; 64 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,

    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Common {
    /// The agent's configuration file [default: that of zabbix_agentd, else of zabbix_agent2, in /etc/zabbix]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Deliver to this server or proxy in place of the agent's own; may be given more than once
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = destination::parse)]
    to: Vec<Destination>,

    /// Write nothing to standard error (a Zabbix agent would merge it into the value)
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Print the discovery rows of a source
    Discover {
        /// A name from courier.toml, or a URL
        source: String,
        #[command(flatten)]
        selection: Selected,
    },
    /// Deliver everything that a source has, and print the errand's time in ms (-1 timeout, 0 failure)
    Push {
        /// A name from courier.toml, or a URL
        source: String,
        #[command(flatten)]
        selection: Selected,
        /// The Zabbix host that the values belong to [default: the agent's Hostname]
        #[arg(long)]
        host: Option<String>,
        /// What stands before the series in each key [default: the source's]
        #[arg(long)]
        prefix: Option<String>,
        /// Print a row a value, KEY<TAB>VALUE, and deliver nothing
        #[arg(long)]
        dry_run: bool,
        /// Where a server refuses values, ask it with ever fewer until their keys are known, and name them on standard
        /// error
        #[arg(long, conflicts_with_all = ["dry_run", "quiet"])]
        explain: bool,
    },
    /// Deliver one value to a trapper item
    Send {
        /// The item's key
        key: String,
        /// Its value
        value: String,
        /// The Zabbix host that the item belongs to [default: the agent's Hostname]
        #[arg(long)]
        host: Option<String>,
    },
    /// Print what became of a source's last push by this user
    Stats {
        /// A name from courier.toml, or a URL
        source: String,
        /// status, error, destinations, elapsed, fetch, parse, send, server, bytes, values, processed, failed, skipped,
        /// age, waiting or lost
        field: String,
    },
    /// Print the version
    Version,
}

#[derive(Args)]
struct Selected {
    /// Only this type: timer, gauge, counter, meter, histogram, summary, untyped, text, bucket, quantile or all
    #[arg(value_name = "TYPE", default_value = "all", hide_default_value = true)]
    kind: String,
    /// Only metrics whose name matches this regular expression
    #[arg(
        long,
        value_name = "REGEX",
        default_value = "",
        hide_default_value = true
    )]
    include: String,
    /// Only metrics whose name does not match this regular expression
    #[arg(
        long,
        value_name = "REGEX",
        default_value = "",
        hide_default_value = true
    )]
    exclude: String,
}

/// How a run ended.
struct Failure {
    text: String,
    code: u8,
}

const FAILED: u8 = 1;
const REFUSED: u8 = 2;
const USAGE: u8 = 64;

/// `courier send` runs in a job of ContainerPilot's, which must not hang.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nothing can be done about a closed standard error.
            let _ = error.print();
            return code.into();
        }
    };
    let quiet = cli.common.quiet;
    if !quiet {
        log_to_stderr();
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { text, code }) => {
            if !quiet && !text.is_empty() {
                eprintln!("courier: {text}");
            }
            code.into()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let environment = environment(&cli.common)?;
    let deadline = || {
        let timeout = environment.agent().timeout();
        timeout
            .map(Deadline::for_item)
            .map_err(|error| failed(error.to_string()))
    };
    match cli.verb {
        Verb::Version => println!("{}", item::version::VERSION),
        Verb::Discover { source, selection } => {
            let parameters = [
                &source,
                &selection.kind,
                &selection.include,
                &selection.exclude,
            ];
            let rows = item::discover::discover(&environment, &parameters.map(cow), deadline()?);
            println!("{}", rows.map_err(failed)?);
        }
        Verb::Push {
            source,
            selection,
            host,
            prefix,
            dry_run,
            explain,
        } => {
            let (host, prefix) = (host.unwrap_or_default(), prefix.unwrap_or_default());
            let parameters = [
                &source,
                &selection.kind,
                &host,
                &selection.include,
                &selection.exclude,
                &prefix,
            ]
            .map(cow);
            if dry_run {
                let rows = item::push::rows(&environment, &parameters, deadline()?);
                print!("{}", rows.map_err(failed)?);
            } else {
                let pushed = push(&environment, &source, &parameters, deadline()?);
                if explain && matches!(pushed, Err(Failure { code: REFUSED, .. })) {
                    self::explain(&environment, &parameters)?;
                }
                pushed?;
            }
        }
        Verb::Send { key, value, host } => send(&environment, &key, &value, host)?,
        Verb::Stats { source, field } => {
            let value = item::stats::stats(&environment, &[cow(&source), cow(&field)]);
            println!("{}", shown(value.map_err(failed)?));
        }
    }
    Ok(())
}

fn push(
    environment: &Environment,
    source: &str,
    parameters: &[Cow<'_, str>],
    deadline: Deadline,
) -> Result<(), Failure> {
    let value = item::push::push(environment, parameters, deadline).map_err(failed)?;
    println!("{}", shown(value.clone()));
    let refused = item::stats::stats(environment, &[cow(source), cow("failed")]);
    match (value, refused) {
        // The reason was logged.
        (Answer::Number(elapsed), _) if elapsed <= 0.0 => Err(failed(String::new())),
        (_, Ok(Answer::Integer(refused))) if refused > 0 => Err(Failure {
            text: String::new(),
            code: REFUSED,
        }),
        _ => Ok(()),
    }
}

/// Names the refused keys on standard error.
fn explain(environment: &Environment, parameters: &[Cow<'_, str>]) -> Result<(), Failure> {
    let timeout = environment.agent().timeout();
    let timeout = timeout.map_err(|error| failed(error.to_string()))?;
    let terminal = io::stderr().is_terminal();
    let progress = |asked: usize, named: usize| {
        if terminal {
            eprint!("\rcourier: asked {asked} times, {named} refused keys are known");
        }
    };
    let all = item::explain::explain(environment, parameters, timeout, progress);
    if terminal {
        eprintln!();
    }
    for Refusals { by, keys, unnamed } in all.map_err(failed)? {
        for key in keys {
            eprintln!("courier: {by} refuses {key}");
        }
        if unnamed > 0 {
            eprintln!(
                "courier: {by} refuses {unnamed} more, which were not asked for: that was enough"
            );
        }
    }
    Ok(())
}

fn send(
    environment: &Environment,
    key: &str,
    value: &str,
    host: Option<String>,
) -> Result<(), Failure> {
    let deadline = Deadline::after(SEND_TIMEOUT);
    let text = |error: courier::environment::Error| failed(error.to_string());
    let settings = environment.settings().map_err(text)?;
    let host = environment
        .host(host.as_deref().unwrap_or_default())
        .map_err(text)?;
    let selection = Selection::default();
    let naming = Naming {
        host: &host,
        prefix: "",
        style: key::Style::Concierge,
    };
    let stamp = environment.board.stamp(SystemTime::now());
    let mut request = Request::new(naming, &selection, stamp);
    request.add(key, value);
    let frame = request
        .into_frame()
        .ok_or_else(|| failed("the value is larger than Zabbix reads".to_owned()))?;
    let source_ip = environment.agent().source_ip();
    let delivery = Delivery {
        destinations: &environment.destinations(&settings).map_err(text)?,
        from: source_ip.map_err(|error| failed(error.to_string()))?,
        tls: &environment.tls().map_err(text)?,
        compress: settings.deliver.compress,
        deadline,
        spool: None,
    };
    let answers =
        deliver::deliver(&delivery, stamp, &frame).map_err(|error| failed(error.to_string()))?;
    if answers.fewest().failed > 0 {
        return Err(Failure {
            text: format!(
                "the server refused the value: is there a trapper item {key} on host {host}, known to the server for a minute, that takes values from this address?"
            ),
            code: REFUSED,
        });
    }
    Ok(())
}

fn environment(common: &Common) -> Result<Environment, Failure> {
    let defaults = [
        "/etc/zabbix/zabbix_agentd.conf",
        "/etc/zabbix/zabbix_agent2.conf",
    ];
    let config = common.config.clone().or_else(|| {
        let there = defaults.iter().map(Path::new).find(|path| path.exists());
        there.map(Path::to_owned)
    });
    let mut environment =
        Environment::new(config, board()).map_err(|error| failed(error.to_string()))?;
    environment.to = common.to.clone();
    Ok(environment)
}

/// The board of this user's commands; what cannot be shared is of this run alone. A board of another size is another
/// version's.
fn board() -> Board {
    let path = format!(
        "/dev/shm/concierge-courier.{}.{}",
        abi::user(),
        board::WORDS
    );
    match abi::shared_file(Path::new(&path), board::WORDS) {
        Ok(words) => Board::new(words),
        Err(error) => {
            log::warn!("{path}: {error}: `courier stats` will not know of this run");
            Board::private()
        }
    }
}

fn shown(answer: Answer) -> String {
    match answer {
        Answer::Integer(value) => value.to_string(),
        Answer::Number(value) => format!("{value:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        Answer::Text(text) => text,
    }
}

fn cow<S: AsRef<str> + ?Sized>(text: &S) -> Cow<'_, str> {
    Cow::Borrowed(text.as_ref())
}

fn failed(text: String) -> Failure {
    Failure { text, code: FAILED }
}

fn log_to_stderr() {
    struct Stderr;

    impl log::Log for Stderr {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.target().starts_with("courier")
        }

        fn log(&self, record: &log::Record<'_>) {
            if self.enabled(record.metadata()) {
                eprintln!("courier: {}", record.args());
            }
        }

        fn flush(&self) {}
    }

    // The first and only logger of the process.
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}
