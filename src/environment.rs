//! What an errand is run with: the agent's configuration, the settings, the board. One per process, made when it is
//! first needed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::board::Board;
use crate::settings::agent::{self, Agent};
use crate::settings::courier::{self, Courier};
use crate::settings::tls::Tls;
use crate::trapper::destination::{self, Destination};

/// Where the settings lie if they do not lie beside the agent's configuration.
const SETTINGS: &str = "/etc/zabbix/courier.toml";

/// What is said once: a pre-shared key that others can read.
const OPEN_KEY: u32 = 0;

/// Where the process's errands come from and go to.
pub struct Environment {
    /// What became of the last pushes.
    pub board: Board,
    /// Destinations in place of what the settings and the agent's configuration say.
    pub to: Vec<Destination>,
    agent: Agent,
    agent_path: Option<PathBuf>,
    settings_paths: Vec<PathBuf>,
    settings: Mutex<Option<Read>>,
}

/// The settings as they were when the file was as `version` says.
struct Read {
    version: Version,
    settings: Arc<Courier>,
}

/// What changes when a file does; `None` where there is none.
type Version = Option<(u64, u64, i64, i64, i64, i64)>;

/// Why an errand cannot even begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agent's configuration.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// courier.toml.
    #[error(transparent)]
    Settings(#[from] courier::Error),
    /// A destination's text.
    #[error(transparent)]
    Destination(#[from] destination::Error),
    /// Nothing says where to.
    #[error(
        "no destination: set ServerActive in the agent's configuration{0}, or `to` under [deliver] in courier.toml"
    )]
    NoDestination(String),
    /// Nothing says which host.
    #[error(
        "no host: set Hostname in the agent's configuration{0}, or give the item the parameter {{HOST.HOST}}"
    )]
    NoHost(String),
}

impl Environment {
    /// The environment of an agent whose configuration is at `agent_path`.
    ///
    /// # Errors
    /// [`Error::Agent`].
    pub fn new(agent_path: Option<PathBuf>, board: Board) -> Result<Self, Error> {
        let agent = match &agent_path {
            Some(path) => Agent::read(path)?,
            None => Agent::default(),
        };
        Ok(Environment {
            board,
            to: Vec::new(),
            agent,
            settings_paths: settings_paths(
                std::env::var_os("COURIER_CONFIG"),
                agent_path.as_deref(),
            ),
            agent_path,
            settings: Mutex::new(None),
        })
    }

    /// The agent's own configuration.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The settings, read again when the file has changed.
    ///
    /// # Errors
    /// [`Error::Settings`].
    pub fn settings(&self) -> Result<Arc<Courier>, Error> {
        let mut kept = self.settings.lock();
        // The first that is there; without one, the last names what is missing.
        let path = self.settings_paths.iter().find(|path| path.exists());
        let Some(path) = path.or(self.settings_paths.last()) else {
            return Ok(Arc::default());
        };
        let version = version(path);
        match &*kept {
            Some(read) if read.version == version => Ok(read.settings.clone()),
            _ => {
                let settings = Arc::new(Courier::read(path)?);
                *kept = Some(Read {
                    version,
                    settings: settings.clone(),
                });
                Ok(settings)
            }
        }
    }

    /// Where values go: the settings' destinations, else the agent's own.
    ///
    /// # Errors
    /// [`Error::NoDestination`] and [`Error::Destination`].
    pub fn destinations(&self, settings: &Courier) -> Result<Vec<Destination>, Error> {
        if !self.to.is_empty() {
            return Ok(self.to.clone());
        }
        if !settings.deliver.to.is_empty() {
            return Ok(settings.deliver.to.clone());
        }
        let servers = self.agent.servers();
        let destinations: Vec<Destination> = servers
            .iter()
            .map(|nodes| destination::parse(&nodes.join(";")))
            .collect::<Result<_, _>>()?;
        if destinations.is_empty() {
            return Err(Error::NoDestination(self.agent_file()));
        }
        Ok(destinations)
    }

    /// How connections to servers are protected, as the agent's configuration says.
    ///
    /// # Errors
    /// [`Error::Agent`].
    pub fn tls(&self) -> Result<Tls, Error> {
        let tls = self.agent.tls()?;
        if let Tls::Psk(psk) = &tls {
            let mode = fs::metadata(&psk.file).map_or(0, |file| file.mode());
            if mode & 0o004 != 0 && self.board.first(OPEN_KEY) {
                log::warn!(
                    "TLSPSKFile={}: everybody on this machine can read the key: chmod 640 it, with the agent's group",
                    psk.file.display()
                );
            }
        }
        Ok(tls)
    }

    /// The Zabbix host that values belong to: the one that was asked for, else the agent's.
    ///
    /// # Errors
    /// [`Error::NoHost`].
    pub fn host(&self, asked: &str) -> Result<String, Error> {
        if !asked.is_empty() {
            return Ok(asked.to_owned());
        }
        if let Some(host) = self.agent.hostname() {
            return Ok(host.to_owned());
        }
        // The agent's default is the item system.hostname: the node's name.
        let of_the_node = matches!(
            self.agent.get("HostnameItem"),
            None | Some("system.hostname")
        );
        let node = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        match node.trim() {
            "" => Err(Error::NoHost(self.agent_file())),
            node if of_the_node && self.agent_path.is_some() => Ok(node.to_owned()),
            _ => Err(Error::NoHost(self.agent_file())),
        }
    }

    fn agent_file(&self) -> String {
        match &self.agent_path {
            Some(path) => format!(" ({})", path.display()),
            None => " (none was found)".to_owned(),
        }
    }
}

/// The variable's path; else that beside the agent's configuration, and that in Zabbix's own folder.
fn settings_paths(variable: Option<OsString>, agent_path: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = variable.filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let beside = agent_path.map(|path| path.with_file_name("courier.toml"));
    beside
        .into_iter()
        .chain([PathBuf::from(SETTINGS)])
        .collect()
}

fn version(path: &Path) -> Version {
    let file = fs::metadata(path).ok()?;
    Some((
        file.ino(),
        file.len(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(agent: &str, settings: &str) -> (tempfile::TempDir, Environment) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zabbix_agentd.conf");
        fs::write(&path, agent).unwrap();
        fs::write(folder.path().join("courier.toml"), settings).unwrap();
        let environment = Environment::new(Some(path), Board::private()).unwrap();
        (folder, environment)
    }

    #[test]
    fn the_agents_servers_get_the_data_unless_the_settings_say_others() {
        let shown = |environment: &Environment| {
            let settings = environment.settings().unwrap();
            environment.destinations(&settings).map(|all| {
                all.iter()
                    .map(|one| one.first.to_string())
                    .collect::<Vec<_>>()
            })
        };
        let (_folder, agents) = environment("ServerActive=a:1,b\n", "");
        assert_eq!(shown(&agents).unwrap(), ["a:1", "b:10051"]);
        let (_folder, settings) = environment("ServerActive=a\n", "[deliver]\nto = ['c:2']");
        assert_eq!(shown(&settings).unwrap(), ["c:2"]);
        let (_folder, none) = environment("", "");
        assert!(
            shown(&none)
                .unwrap_err()
                .to_string()
                .contains("ServerActive")
        );
    }

    #[test]
    fn settings_are_read_again_when_the_file_changes() {
        let (folder, environment) = environment("", "[source.a]\nurl = '/a'");
        assert!(environment.settings().unwrap().sources.contains_key("a"));
        let path = folder.path().join("courier.toml");
        fs::write(&path, "[source.b]\nurl = '/bb'").unwrap();
        assert!(environment.settings().unwrap().sources.contains_key("b"));
        fs::write(&path, "x").unwrap();
        assert!(
            environment
                .settings()
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
        fs::remove_file(&path).unwrap();
        assert!(environment.settings().unwrap().sources.is_empty());
        fs::write(&path, "[source.c]\nurl = '/c'").unwrap();
        assert!(environment.settings().unwrap().sources.contains_key("c"));
    }

    #[test]
    fn the_host_is_the_one_asked_for_else_the_agents() {
        let (_folder, named) = environment("Hostname=first, second\n", "");
        assert_eq!(named.host("").unwrap(), "first");
        assert_eq!(named.host("asked").unwrap(), "asked");
        let (_folder, item) = environment("HostnameItem=system.run[x]\n", "");
        assert!(item.host("").unwrap_err().to_string().contains("HOST.HOST"));
    }
}
