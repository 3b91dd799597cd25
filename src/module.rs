//! The module as Zabbix loads it: the exported functions, each behind the panic guard of [`abi`](crate::abi).
//!
//! `init` runs in the parent process before the agent forks. It starts no thread and opens nothing: it maps the memory
//! that the children share, and remembers where the configuration is. All else each process makes when it needs it.

use std::ffi::{CStr, c_int};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use std::{env, fs};

use crate::abi::{self, Answer, Item, Keys, RawKey, Request};
use crate::board::{self, Board};
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::item;

static KEYS: Keys<5> = Keys::new([
    abi::key::<Discover>(),
    abi::key::<Push>(),
    abi::key::<Stats>(),
    abi::key::<Version>(),
    abi::end(),
]);

/// Seconds; the agent's default until it says otherwise.
static TIMEOUT: AtomicI32 = AtomicI32::new(3);

/// What `init` leaves for the children.
struct Parent {
    board: Board,
    config: Option<PathBuf>,
}

static PARENT: OnceLock<Parent> = OnceLock::new();

fn parent() -> &'static Parent {
    PARENT.get_or_init(|| {
        let board = abi::shared_memory(board::WORDS).map(Board::new).unwrap_or_else(|error| {
            log::warn!("no shared memory ({error}): courier.stats knows the pushes of its own process only");
            Board::private()
        });
        let arguments = fs::read("/proc/self/cmdline").unwrap_or_default();
        let config = config_path(&arguments)
            .or_else(abi::host_config)
            .or_else(|| Some(PathBuf::from("/etc/zabbix/zabbix_agentd.conf")).filter(|path| path.exists()));
        Parent {
            // A relative path is relative to where the agent was started; it has moved to / where it became a daemon.
            config: config.map(|path| env::current_dir().unwrap_or_default().join(path)),
            board,
        }
    })
}

/// The environment of this process. What is wrong with the agent's configuration is told each time: the agent itself
/// has read it, so that it can only be a matter of rights.
fn environment() -> Result<&'static Environment, String> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let made = Environment::new(parent().config.clone(), parent().board)
        .map_err(|error| error.to_string())?;
    Ok(ENVIRONMENT.get_or_init(|| made))
}

fn deadline(request: &Request<'_>) -> Deadline {
    let agents = TIMEOUT.load(Ordering::Relaxed).max(1).unsigned_abs();
    Deadline::for_item(
        request
            .timeout
            .unwrap_or(Duration::from_secs(agents.into())),
    )
}

/// The configuration file that a command line (arguments that end in NUL) names by `-c FILE`, `-cFILE`, `-fc FILE`,
/// `--config FILE` or `--config=FILE`; the first one counts.
fn config_path(command_line: &[u8]) -> Option<PathBuf> {
    let line = String::from_utf8_lossy(command_line);
    let mut arguments = line.split_terminator('\0').skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            return None;
        }
        if let Some(long) = argument.strip_prefix("--config") {
            return match long.strip_prefix('=') {
                Some(path) => Some(path.into()),
                None => arguments.next().map(PathBuf::from),
            };
        }
        let Some(flags) = argument
            .strip_prefix('-')
            .filter(|flags| !flags.starts_with('-'))
        else {
            continue;
        };
        // The agent's flags with an argument are c, t and R: what follows one of them in its word is its argument.
        if let Some(at) = flags.find(['c', 't', 'R']) {
            let value = &flags[at + 1..];
            let own = flags[at..].starts_with('c');
            match (own, value) {
                (true, "") => return arguments.next().map(PathBuf::from),
                (true, path) => return Some(path.into()),
                (false, "") => drop(arguments.next()),
                (false, _) => {}
            }
        }
    }
    None
}

/// The version of the module interface.
#[unsafe(no_mangle)]
pub extern "C" fn zbx_module_api_version() -> c_int {
    abi::API_VERSION
}

/// Called once, in the parent process.
///
/// It never fails: the agent would refuse to start, and whatever is wrong can be mended while it runs.
#[unsafe(no_mangle)]
pub extern "C" fn zbx_module_init() -> c_int {
    abi::guard(|| {
        abi::install_log();
        let config = parent().config.as_ref().map_or_else(
            || "no agent configuration was found".to_owned(),
            |path| format!("agent configuration {}", path.display()),
        );
        log::info!("version {} loaded, {config}", item::version::VERSION);
    });
    abi::OK
}

/// Called once, in the parent process, when the agent stops.
#[unsafe(no_mangle)]
pub extern "C" fn zbx_module_uninit() -> c_int {
    abi::OK
}

/// The keys that the module serves.
#[unsafe(no_mangle)]
pub extern "C" fn zbx_module_item_list() -> *mut RawKey {
    KEYS.as_ptr()
}

/// The agent's Timeout, in seconds.
#[unsafe(no_mangle)]
pub extern "C" fn zbx_module_item_timeout(timeout: c_int) {
    TIMEOUT.store(timeout, Ordering::Relaxed);
}

struct Discover;

impl Item for Discover {
    const KEY: &'static CStr = c"courier.discover";

    fn answer(request: &Request<'_>) -> Result<Answer, String> {
        item::discover::discover(environment()?, &request.parameters, deadline(request))
            .map(Answer::Text)
    }
}

struct Push;

impl Item for Push {
    const KEY: &'static CStr = c"courier.push";
    const TEST: Option<&'static CStr> = Some(item::push::TEST);

    fn answer(request: &Request<'_>) -> Result<Answer, String> {
        item::push::push(environment()?, &request.parameters, deadline(request))
    }
}

struct Stats;

impl Item for Stats {
    const KEY: &'static CStr = c"courier.stats";

    fn answer(request: &Request<'_>) -> Result<Answer, String> {
        item::stats::stats(environment()?, &request.parameters)
    }
}

struct Version;

impl Item for Version {
    const KEY: &'static CStr = c"courier.version";

    fn answer(_: &Request<'_>) -> Result<Answer, String> {
        Ok(Answer::Text(item::version::VERSION.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_found_in_every_form_of_the_command_line() {
        for (line, path) in [
            ("agentd\0-c\0/a\0", Some("/a")),
            ("agentd\0-c/a\0", Some("/a")),
            ("agentd\0-fc\0/a\0", Some("/a")),
            ("agentd\0-f\0--config\0/a\0-c\0/b\0", Some("/a")),
            ("agentd\0--config=/a\0", Some("/a")),
            ("agentd\0-t\0-c\0-c\0/a\0", Some("/a")),
            ("agentd\0-tcpu\0-c\0/a\0", Some("/a")),
            ("agentd\0-f\0", None),
            ("agentd\0--\0-c\0/a\0", None),
            ("", None),
        ] {
            assert_eq!(
                config_path(line.as_bytes()),
                path.map(PathBuf::from),
                "{line:?}"
            );
        }
    }
}
