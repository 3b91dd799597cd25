//! The verb pem: a component's Docker credentials in the inventory of its service host.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use thiserror::Error;

use crate::cli::{Pem, PemVerb};
use crate::environment::Environment;
use crate::pem::{self, Pems};
use crate::report::Exit;
use crate::service_host::{self, ServiceHost};
use crate::zabbix::{self, Access, Client};

const LIMIT: Duration = Duration::from_secs(10);

/// Why the credentials cannot be shown, stored or written.
#[derive(Debug, Error)]
pub enum Error {
    /// The API.
    #[error(transparent)]
    Zabbix(#[from] zabbix::Error),
    /// The service host.
    #[error(transparent)]
    Host(#[from] service_host::Error),
    /// The credentials themselves.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// The verb needs an inventory.
    #[error(
        "the credentials lie in Zabbix: set ZBX_API_HOST, and ZBX_API_TOKEN or ZBX_API_USER and ZBX_API_PASS"
    )]
    NoZabbix,
    /// The inventory holds none.
    #[error(
        "the inventory of the host {0} holds no credentials (notes: key, poc_1_notes: CA, poc_2_notes: certificate); store them by pem put"
    )]
    None(String),
    /// A file.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Does what the verb says.
pub async fn run(verb: &Pem, environment: &Environment) -> Result<Exit, Error> {
    let (PemVerb::Show { component, .. }
    | PemVerb::Put { component, .. }
    | PemVerb::Export { component, .. }) = &verb.verb;
    // What is wrong with the files is told before anybody logs in.
    let put = match &verb.verb {
        PemVerb::Put { from, .. } => Some(read(from)?),
        _ => None,
    };
    let access = Access::from_environment(environment, LIMIT)?.ok_or(Error::NoZabbix)?;
    let client = Client::connect(&access).await?;
    let result = on_host(verb, component, put, &client).await;
    client.logout().await;
    result
}

async fn on_host(
    verb: &Pem,
    component: &str,
    put: Option<Pems>,
    client: &Client,
) -> Result<Exit, Error> {
    let host = ServiceHost::find(client, component).await?;
    let host = host.ok_or_else(|| service_host::Error::Missing(component.to_owned()))?;
    let stored = || host.pems()?.ok_or_else(|| Error::None(host.name.clone()));
    match &verb.verb {
        PemVerb::Show { json, .. } => show(&stored()?, *json),
        PemVerb::Put { dry_run, json, .. } => {
            let Some(pems) = put else {
                return Ok(Exit::Done);
            };
            if !dry_run {
                host.store(client, &pems).await?;
            }
            let what = if *dry_run {
                "would be stored"
            } else {
                "stored"
            };
            tell(
                &format!(
                    "key, CA and certificate {what} in the inventory of {}",
                    host.name
                ),
                *json,
                *dry_run,
            );
            Ok(Exit::Done)
        }
        PemVerb::Export {
            to, dry_run, json, ..
        } => {
            let pems = stored()?;
            if !dry_run {
                write(&pems, to)?;
            }
            let what = if *dry_run {
                "would be written"
            } else {
                "written"
            };
            tell(
                &format!("key.pem, ca.pem and cert.pem {what} to {}", to.display()),
                *json,
                *dry_run,
            );
            Ok(Exit::Done)
        }
    }
}

fn show(pems: &Pems, json: bool) -> Result<Exit, Error> {
    let description = pems.describe()?;
    if json {
        println!("{}", json!(description));
    } else {
        println!("source:      {}", description.source);
        for (name, certificate) in [
            ("certificate", &description.certificate),
            ("CA", &description.ca),
        ] {
            println!("{:12} {}", format!("{name}:"), certificate.subject);
            println!("  signed by  {}", certificate.issuer);
            println!("  expires    {}", certificate.expires);
        }
        println!(
            "usable:      {}",
            description.problem.as_deref().unwrap_or("yes")
        );
    }
    Ok(if description.problem.is_some() {
        Exit::Failed
    } else {
        Exit::Done
    })
}

fn tell(sentence: &str, as_json: bool, dry_run: bool) {
    if as_json {
        println!(
            "{}",
            json!({"result": "done", "reason": sentence, "dry_run": dry_run})
        );
    } else {
        println!("{sentence}");
    }
}

/// The credentials in a folder's files, which must be usable.
fn read(folder: &Path) -> Result<Pems, Error> {
    let text = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|source| Error::File { path, source })
    };
    let (key, ca, certificate) = (text("key.pem")?, text("ca.pem")?, text("cert.pem")?);
    let pems = Pems::mend(&key, &ca, &certificate, &folder.display().to_string())?;
    pems.client_config()?;
    Ok(pems)
}

/// Writes the files into a folder of their own that did not exist before.
fn write(pems: &Pems, folder: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|source| Error::File {
        path: folder.to_owned(),
        source,
    })?;
    for (name, text) in pems.files() {
        let path = folder.join(name);
        let file = OpenOptions::new()
            .mode(0o600)
            .create_new(true)
            .write(true)
            .open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| Error::File { path, source })?;
    }
    Ok(())
}
