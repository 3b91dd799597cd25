//! Zabbix's configuration as files: back it up, see what differs, restore it.
//!
//! One table of object kinds ([`kinds`]) says where objects come from, what names them and which of their fields refer to
//! others. Reading a server gives a [`snapshot`] in the [`normal`] form; a restore is the pure difference ([`plan`])
//! between the snapshot of a folder and that of a server, carried out in batches ([`restore`]).

mod backup;
mod converted;
mod depend;
mod diff;
mod digest;
mod files;
mod folder;
mod id_map;
mod import;
mod kind;
mod kinds;
mod legacy;
mod made_up;
mod names;
mod normal;
mod numbers;
mod observe;
mod own;
mod path;
mod plan;
mod restore;
mod restore_config;
mod secrets;
mod snapshot;
mod target;
mod tree;
mod upgrade;
mod withheld;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use thiserror::Error;

pub use backup::{backup, write};
pub use digest::sha256;
pub use folder::{Files, Folder};
pub use id_map::id_map;
pub use restore_config::{carry, restore};

use crate::cli::ConfigDir;
use crate::environment::Environment;
use crate::zabbix::{self, Access, Client, Request};

/// An import of many templates takes minutes on a small server.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Why a backup or a restore failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The API could not be used.
    #[error(transparent)]
    Zabbix(#[from] zabbix::Error),
    /// The server could not be read.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// The folder could not be used.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// The files are no backup.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// No server was named.
    #[error("no Zabbix server: set ZBX_API_HOST to its address")]
    NoServer,
    /// No folder was named.
    #[error("no folder for the configuration: give --config-dir, or set ZBX_CONFIG_DIR")]
    NoFolder,
    /// The user may not see everything.
    #[error(
        "the user of the Zabbix API is no super admin, and would see only a part of the configuration: give another in ZBX_API_USER"
    )]
    NotSuperAdmin,
    /// The backup comes from a newer Zabbix than the server's.
    #[error(
        "the backup is of Zabbix {backup}, and the server is {server}: restore it into {backup} or later"
    )]
    Newer {
        /// The backup's version.
        backup: zabbix::Version,
        /// The server's version.
        server: zabbix::Version,
    },
    /// --prune names no kind.
    #[error("--prune {0}: no such kind; known are {1}")]
    NoSuchKind(String, String),
}

impl Error {
    /// Whether the command line or a setting is wrong, rather than the errand failed.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoServer
                | Self::NoFolder
                | Self::NoSuchKind(..)
                | Self::Zabbix(
                    zabbix::Error::Address(_)
                        | zabbix::Error::AddressWithPassword
                        | zabbix::Error::NoCredentials
                )
        )
    }
}

/// The folder of the backup: the flag, else the environment.
pub fn config_dir(flag: &ConfigDir, environment: &Environment) -> Result<PathBuf, Error> {
    let setting = || environment.get("ZBX_CONFIG_DIR").map(PathBuf::from);
    flag.config_dir
        .clone()
        .or_else(setting)
        .ok_or(Error::NoFolder)
}

/// Removes the backup from its folder.
pub fn delete(dir: &std::path::Path) -> Result<(), Error> {
    Ok(Folder::open(dir)?.delete()?)
}

async fn connect(environment: &Environment) -> Result<Client, Error> {
    let access = Access::from_environment(environment, TIMEOUT)?.ok_or(Error::NoServer)?;
    let client = Client::connect(&access).await?;
    // Only a super admin may read these settings; anybody else would see, and so restore, a part of the configuration.
    // 5.0 refuses nobody, and answers others with nothing.
    let probe = Request::new("autoregistration.get", json!({"output": "extend"}));
    let error = match client.call(&probe).await {
        Ok(settings) if settings.get("tls_accept").is_some() => return Ok(client),
        Err(error) if !error.is_refusal() => error.into(),
        _ => Error::NotSuperAdmin,
    };
    client.logout().await;
    Err(error)
}
