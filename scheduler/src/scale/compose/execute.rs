//! Doing what a plan says: several containers at a time, and nothing half made left behind.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::models::{HealthStatusEnum, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptions, StopContainerOptions,
};
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, sleep, timeout_at};

use super::replica::{self, Replica};
use super::{Instance, Plan, Service, State, find};
use crate::docker::{Engine, is_gone};
use crate::scale::{Deadline, Error};

/// How many containers are made, started or stopped at the same time.
const PARALLEL: usize = 16;
/// The engine's own grace, where a service sets none.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// How far an execution came.
#[derive(Debug, Default)]
pub struct Change {
    /// The containers that were started.
    pub started: Vec<String>,
    /// The containers that were removed.
    pub removed: Vec<String>,
    /// The containers that were told to stop and have not yet.
    pub stopping: Vec<String>,
    /// The containers that may be half made.
    pub unfinished: Vec<String>,
    /// What went wrong first.
    pub error: Option<Error>,
}

/// Does what `plan` says, until the deadline, and says how far it came.
pub async fn execute(
    engine: &Engine,
    service: &Service,
    plan: &Plan,
    deadline: Deadline,
) -> Change {
    let run = Run {
        engine,
        deadline,
        change: RefCell::default(),
        unsettled: RefCell::default(),
    };
    let work = async {
        if let Err(error) = run.all(service, plan).await {
            run.failed(error);
        }
    };
    if timeout_at(deadline.work, work).await.is_err() {
        run.failed(Error::Timeout);
    }
    let mut change = run.change.into_inner();
    let unsettled: Vec<String> = run.unsettled.into_inner().into_iter().collect();
    if !unsettled.is_empty() {
        let (running, left) = clear(engine, service, &unsettled, true, deadline.cleared).await;
        change.started.extend(running);
        change.unfinished = left;
    }
    change
}

/// Removes the containers called `names` that a run was making: those never started, and with `exited` those that
/// ended at once too. Returns which of them run, and which could not be looked after.
pub async fn clear(
    engine: &Engine,
    service: &Service,
    names: &[String],
    exited: bool,
    deadline: Instant,
) -> (Vec<String>, Vec<String>) {
    let attempts = async {
        loop {
            match clear_once(engine, service, names, exited).await {
                Ok(running) => return running,
                // The engine may be on its way back.
                Err(_) => sleep(POLL).await,
            }
        }
    };
    match timeout_at(deadline, attempts).await {
        Ok(running) => (running, Vec::new()),
        Err(_) => (Vec::new(), names.to_vec()),
    }
}

async fn clear_once(
    engine: &Engine,
    service: &Service,
    names: &[String],
    exited: bool,
) -> Result<Vec<String>, Error> {
    let mut running = Vec::new();
    for instance in find(engine, Some(&service.project), Some(&service.name))
        .await?
        .into_iter()
        .flat_map(|s| s.instances)
    {
        if !names.contains(&instance.name) {
            continue;
        }
        match instance.state {
            State::Running => running.push(instance.name),
            State::Stopped if exited || instance.status.starts_with("Created") => {
                remove(engine, &instance, true).await?;
            }
            _ => {}
        }
    }
    Ok(running)
}

/// Waits until the containers called `names` are healthy, or run where they have no health check.
pub async fn wait_healthy(
    engine: &Engine,
    names: &[String],
    deadline: Instant,
) -> Result<(), Error> {
    for name in names {
        loop {
            let seen = engine.api.inspect_container(name, None).await;
            let seen =
                seen.map_err(|error| engine.error(format!("cannot inspect {name}"), error))?;
            let state = seen.state.unwrap_or_default();
            if state.running != Some(true) {
                let reason = if state.oom_killed == Some(true) {
                    "out of memory"
                } else {
                    "its program ended"
                };
                let code = state.exit_code.unwrap_or_default();
                return Err(Error::Ended {
                    name: name.clone(),
                    reason,
                    code,
                });
            }
            match state.health.and_then(|health| health.status) {
                Some(HealthStatusEnum::STARTING) if Instant::now() < deadline => sleep(POLL).await,
                Some(HealthStatusEnum::STARTING) => return Err(Error::NotHealthy(name.clone())),
                Some(HealthStatusEnum::UNHEALTHY) => return Err(Error::Unhealthy(name.clone())),
                _ => break,
            }
        }
    }
    Ok(())
}

struct Run<'a> {
    engine: &'a Engine,
    deadline: Deadline,
    change: RefCell<Change>,
    /// The names of containers that may be half made.
    unsettled: RefCell<HashSet<String>>,
}

enum Task<'a> {
    Start(&'a Instance),
    Make(Box<Replica>),
    Remove(&'a Instance),
}

impl Run<'_> {
    async fn all(&self, service: &Service, plan: &Plan) -> Result<(), Error> {
        let made = self.replicas(service, plan).await?;
        let instances = |places: &[usize]| -> Vec<&Instance> {
            places
                .iter()
                .filter_map(|&place| service.instances.get(place))
                .collect()
        };
        let (start, remove) = (instances(&plan.start), instances(&plan.remove));
        let tasks = start
            .into_iter()
            .map(Task::Start)
            .chain(made.into_iter().map(Box::new).map(Task::Make));
        let tasks = tasks.chain(remove.into_iter().map(Task::Remove));
        stream::iter(tasks)
            .for_each_concurrent(PARALLEL, async |task| {
                if let Err(error) = self.one(task).await {
                    self.failed(error);
                }
            })
            .await;
        Ok(())
    }

    /// Keeps the first reason: what fails after it mostly fails for the same.
    fn failed(&self, error: Error) {
        self.change.borrow_mut().error.get_or_insert(error);
    }

    async fn one(&self, task: Task<'_>) -> Result<(), Error> {
        match task {
            Task::Start(instance) => {
                self.start(&instance.name).await?;
                self.change.borrow_mut().started.push(instance.name.clone());
            }
            Task::Make(replica) => {
                let name = replica.name.clone();
                self.make(*replica).await?;
                self.unsettled.borrow_mut().remove(&name);
                self.change.borrow_mut().started.push(name);
            }
            Task::Remove(instance) => {
                self.change
                    .borrow_mut()
                    .stopping
                    .push(instance.name.clone());
                self.stop(instance).await?;
                remove(self.engine, instance, false).await?;
                let mut change = self.change.borrow_mut();
                change.stopping.retain(|name| name != &instance.name);
                change.removed.push(instance.name.clone());
            }
        }
        Ok(())
    }

    /// What to ask the engine for, in full.
    async fn replicas(&self, service: &Service, plan: &Plan) -> Result<Vec<Replica>, Error> {
        let (false, Some(newest)) = (plan.create.is_empty(), service.newest()) else {
            return Ok(Vec::new());
        };
        let seen = self.engine.api.inspect_container(&newest.id, None).await;
        let sibling = seen.map_err(|error| {
            self.engine
                .error(format!("cannot inspect {}", newest.name), error)
        })?;
        // The list has the image's name for as long as it means the sibling's image, and then the image's own id.
        let image = &newest.image;
        let replicas = plan
            .create
            .iter()
            .map(|(number, name)| replica::beside(&sibling, name, *number, image));
        Ok(replicas.collect())
    }

    async fn make(&self, replica: Replica) -> Result<(), Error> {
        let Replica {
            name,
            body,
            networks,
        } = replica;
        self.unsettled.borrow_mut().insert(name.clone());
        let options = CreateContainerOptions {
            name: Some(name.clone()),
            ..CreateContainerOptions::default()
        };
        let id = match self.engine.api.create_container(Some(options), body).await {
            Ok(created) => created.id,
            Err(error) => {
                if matches!(error, EngineError::DockerResponseServerError { .. }) {
                    // Refused: whatever has this name now is not ours.
                    self.unsettled.borrow_mut().remove(&name);
                }
                return Err(self
                    .engine
                    .error(format!("cannot create {name}"), error)
                    .into());
            }
        };
        for (network, endpoint) in networks {
            let request = NetworkConnectRequest {
                container: id.clone(),
                endpoint_config: Some(endpoint),
            };
            let connected = self.engine.api.connect_network(&network, request).await;
            connected.map_err(|error| {
                self.engine
                    .error(format!("cannot connect {name} to {network}"), error)
            })?;
        }
        self.start(&name).await
    }

    async fn start(&self, name: &str) -> Result<(), Error> {
        let started = self.engine.api.start_container(name, None).await;
        started.map_err(|error| {
            self.engine
                .error(format!("cannot start {name}"), error)
                .into()
        })
    }

    async fn stop(&self, instance: &Instance) -> Result<(), Error> {
        if instance.state != State::Running {
            return Ok(());
        }
        let failed = |error| {
            self.engine
                .error(format!("cannot stop {}", instance.name), error)
        };
        let seen = match self.engine.api.inspect_container(&instance.id, None).await {
            Err(error) if is_gone(&error) => return Ok(()),
            seen => seen.map_err(failed)?,
        };
        let own = seen.config.and_then(|config| config.stop_timeout);
        let options = StopContainerOptions {
            t: own.is_none().then(|| self.default_grace()),
            signal: None,
        };
        match self
            .engine
            .api
            .stop_container(&instance.id, Some(options))
            .await
        {
            Err(error) if !is_gone(&error) => Err(failed(error).into()),
            _ => Ok(()),
        }
    }

    /// The default grace, cut to what is left of the run. A grace that the service sets itself is never cut.
    fn default_grace(&self) -> i32 {
        let left = self.deadline.work.saturating_duration_since(Instant::now());
        let grace = DEFAULT_GRACE.min(left.saturating_sub(Duration::from_secs(1)));
        // At most ten seconds, as DEFAULT_GRACE has it.
        grace.as_secs().max(1) as i32
    }
}

async fn remove(engine: &Engine, instance: &Instance, with_volumes: bool) -> Result<(), Error> {
    let options = RemoveContainerOptions {
        v: with_volumes,
        force: true,
        link: false,
    };
    match engine
        .api
        .remove_container(&instance.id, Some(options))
        .await
    {
        // Gone, or going: someone was faster.
        Err(EngineError::DockerResponseServerError {
            status_code: 404 | 409,
            ..
        })
        | Ok(()) => Ok(()),
        Err(error) => Err(engine
            .error(format!("cannot remove {}", instance.name), error)
            .into()),
    }
}
