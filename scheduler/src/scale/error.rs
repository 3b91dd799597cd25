//! What keeps a scaling verb from its end.

use std::io;

use thiserror::Error;

use super::state;
use crate::report::Exit;
use crate::{docker, pem, service_host, settings, zabbix};

/// Why a verb failed.
#[derive(Debug, Error)]
pub enum Error {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The engine.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// The state folder.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The service host.
    #[error(transparent)]
    Host(#[from] service_host::Error),
    /// The API.
    #[error(transparent)]
    Zabbix(#[from] zabbix::Error),
    /// The credentials.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// It does not answer at all.
    #[error("the engine at {0} does not answer; check the address, the network and the firewall")]
    Unreachable(String),
    /// There is no such service.
    #[error(
        "the engine at {address} has no service {service}{place}; name it by --service-name and --project, or give its compose file by --file"
    )]
    NoService {
        /// The engine.
        address: String,
        /// The service.
        service: String,
        /// In which project.
        place: String,
    },
    /// Several projects have one.
    #[error(
        "several projects have a service {service}: {projects}; choose by --project or {{$COMPOSE.PROJECT}}"
    )]
    SeveralProjects {
        /// The service.
        service: String,
        /// The projects.
        projects: String,
    },
    /// Compose and Swarm have one.
    #[error("both Compose and Swarm have a service {0}; choose by --engine or {{$SCALE.ENGINE}}")]
    BothEngines(String),
    /// One node, one task.
    #[error(
        "the service {0} is not replicated (it is global, or a job), so it has no number of replicas"
    )]
    NotReplicated(String),
    /// container_name.
    #[error(
        "the container of {service} has the fixed name {name} (container_name), so there can be no second one"
    )]
    FixedName {
        /// The service.
        service: String,
        /// The container.
        name: String,
    },
    /// Someone else changed the Swarm service at the same moment, again and again.
    #[error("the service {0} is being changed by others; try again")]
    OutOfSequence(String),
    /// Tasks do not come up.
    #[error("{running} of {target} tasks of {name} run: {reason}")]
    NotRunning {
        /// The service.
        name: String,
        /// How many run.
        running: u32,
        /// How many are to run.
        target: u32,
        /// The engine's words.
        reason: String,
    },
    /// A container ended while it was waited for.
    #[error(
        "{name} was started and ended at once: {reason} (exit code {code}); see docker logs {name}"
    )]
    Ended {
        /// The container.
        name: String,
        /// Why, as far as the engine knows.
        reason: &'static str,
        /// Its program's exit code.
        code: i64,
    },
    /// The health check says no.
    #[error("{0} is unhealthy; see docker inspect {0}")]
    Unhealthy(String),
    /// The health check has not yet said yes.
    #[error("{0} is not healthy yet; give it longer by --timeout")]
    NotHealthy(String),
    /// Nothing to lower.
    #[error(
        "the service has no limit that could be lowered; set one in its compose file or stack first"
    )]
    NoLimit,
    /// Scaling from zero without a file.
    #[error(
        "no container of {service} is there to go by, so its compose file is needed: give it by --file or {{$COMPOSE.FILE}} (by default /etc/docker/{project}/compose.yml)"
    )]
    NoFile {
        /// The service.
        service: String,
        /// The project.
        project: String,
    },
    /// Neither docker-compose nor docker can be run.
    #[error(
        "cannot run the Compose program: {0}; install docker-compose, or the docker command with its compose plugin"
    )]
    NoProgram(#[source] io::Error),
    /// It failed.
    #[error("the Compose program failed: {0}")]
    Program(String),
    /// The private socket for it.
    #[error("cannot open a socket for the Compose program: {0}")]
    Tunnel(#[source] io::Error),
    /// Time is up.
    #[error("time is up before all was done; give it longer by --timeout")]
    Timeout,
}

impl Error {
    /// The exit code that tells it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}
