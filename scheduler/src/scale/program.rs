//! The Compose program, for what the Engine API cannot do: making a service's first container from its compose file.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use tokio::process::Command;
use tokio::time::timeout_at;

use super::{Deadline, Error};
use crate::docker::tunnel::Tunnel;

/// How the program reaches the engine.
pub enum Way {
    /// By this DOCKER_HOST.
    Open(String),
    /// By a private socket that leads to a TLS engine.
    Tunnel(Tunnel),
}

/// Has the Compose program bring `service` to `target` containers, and leave the others as they are.
pub async fn scale(
    way: &Way,
    files: &[PathBuf],
    project: &str,
    service: &str,
    target: u32,
    deadline: Deadline,
) -> Result<(), Error> {
    if files.is_empty() {
        return Err(Error::NoFile {
            service: service.to_owned(),
            project: project.to_owned(),
        });
    }
    let mut command = program();
    for file in files {
        command.arg("--file").arg(file);
    }
    command.args([
        "--project-name",
        project,
        "up",
        "-d",
        "--no-recreate",
        "--no-deps",
        "--scale",
    ]);
    command.arg(format!("{service}={target}")).arg(service);
    command.env(
        "DOCKER_HOST",
        match way {
            Way::Open(host) => host.clone(),
            Way::Tunnel(tunnel) => tunnel.docker_host(),
        },
    );
    let foreign = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        // The program needs no login of Zabbix's, and the tunnel has done with TLS.
        name.starts_with("ZBX_")
            || ["DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "COMPOSE_FILE"].contains(&&*name)
    });
    for name in foreign {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout_at(deadline.work, command.output())
        .await
        .map_err(|_| Error::Timeout)?;
    let output = output.map_err(Error::NoProgram)?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Error::Program(last_words(&output)))
    }
}

/// `docker-compose` where it is installed, else the docker command's own.
fn program() -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let standalone = std::env::split_paths(&path)
        .map(|folder| folder.join("docker-compose"))
        .find(|file| file.is_file());
    match standalone {
        Some(file) => Command::new(file),
        None => {
            let mut command = Command::new("docker");
            command.arg("compose");
            command
        }
    }
}

fn last_words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    last.map_or_else(|| output.status.to_string(), str::to_owned)
}
