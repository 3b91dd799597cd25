//! Swarm services, through a manager's Engine API.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::models::{ServiceSpec, Task, TaskState};
use bollard::query_parameters::{ListServicesOptions, ListTasksOptions, UpdateServiceOptions};
use tokio::time::{Instant, sleep};

use super::{Deadline, Error};
use crate::docker::Engine;

const POLL: Duration = Duration::from_millis(100);

/// What docker stack deploy notes on a service.
const STACK: &str = "com.docker.stack.namespace";

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its full name, the stack's before it.
    pub name: String,
    /// The engine's name for it.
    pub id: String,
    /// Its settings, as the engine gave them.
    pub spec: ServiceSpec,
    version: u64,
}

/// The service `name`, of the stack `project` where one is given. A node that is no manager has none, which is an
/// error where it `must` be one.
pub async fn find(
    engine: &Engine,
    project: Option<&str>,
    name: &str,
    must: bool,
) -> Result<Option<Service>, Error> {
    let full = project.map(|project| format!("{project}_{name}"));
    let wanted: Vec<String> = full.into_iter().chain([name.to_owned()]).collect();
    let found = ask(engine, ("name", wanted.clone()), must).await?;
    // The filter finds beginnings of names too; the stack's own service comes before one of another's full name.
    let best = wanted
        .iter()
        .find_map(|name| found.iter().find(|service| &service.name == name));
    Ok(best.cloned())
}

/// The services of the stack `project`, or of every stack and of none.
pub async fn all(
    engine: &Engine,
    project: Option<&str>,
    must: bool,
) -> Result<Vec<Service>, Error> {
    let label = project.map(|project| format!("{STACK}={project}"));
    let mut found = ask(engine, ("label", label.into_iter().collect()), must).await?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

async fn ask(
    engine: &Engine,
    (filter, values): (&str, Vec<String>),
    must: bool,
) -> Result<Vec<Service>, Error> {
    let options = ListServicesOptions {
        filters: Some(HashMap::from([(filter.to_owned(), values)])),
        ..ListServicesOptions::default()
    };
    match engine.api.list_services(Some(options)).await {
        Ok(found) => Ok(found.into_iter().map(Service::new).collect()),
        // No manager, or an engine so old that it has no Swarm.
        Err(EngineError::DockerResponseServerError {
            status_code: 404 | 406 | 500 | 503,
            ..
        }) if !must => Ok(Vec::new()),
        Err(error) => Err(engine
            .error("cannot ask the engine for its Swarm services", error)
            .into()),
    }
}

impl Service {
    fn new(service: bollard::models::Service) -> Self {
        let spec = service.spec.unwrap_or_default();
        Self {
            name: spec.name.clone().unwrap_or_default(),
            id: service.id.unwrap_or_default(),
            spec,
            version: service
                .version
                .and_then(|version| version.index)
                .unwrap_or(0),
        }
    }

    /// How many replicas it is to have.
    pub fn replicas(&self) -> Result<u32, Error> {
        let mode = self.spec.mode.as_ref();
        let replicated = mode.and_then(|mode| mode.replicated.as_ref());
        let replicated = replicated.ok_or_else(|| Error::NotReplicated(self.name.clone()))?;
        Ok(u32::try_from(replicated.replicas.unwrap_or(1)).unwrap_or(0))
    }

    /// Asks for `target` replicas.
    pub async fn scale(&self, engine: &Engine, target: u32) -> Result<(), Error> {
        let mut spec = self.spec.clone();
        if let Some(replicated) = spec.mode.as_mut().and_then(|mode| mode.replicated.as_mut()) {
            replicated.replicas = Some(i64::from(target));
        }
        self.update(engine, spec).await
    }

    /// Replaces the settings. Without credentials of its own the request leaves the registry's where they are.
    pub async fn update(&self, engine: &Engine, spec: ServiceSpec) -> Result<(), Error> {
        let version =
            i32::try_from(self.version).map_err(|_| Error::OutOfSequence(self.name.clone()))?;
        let options = UpdateServiceOptions {
            version,
            ..UpdateServiceOptions::default()
        };
        match engine
            .api
            .update_service(&self.id, spec, options, None)
            .await
        {
            Ok(_) => Ok(()),
            Err(EngineError::DockerResponseServerError { message, .. })
                if message.contains("out of sequence") =>
            {
                Err(Error::OutOfSequence(self.name.clone()))
            }
            Err(error) => Err(engine
                .error(format!("cannot update {}", self.name), error)
                .into()),
        }
    }

    /// The service's tasks.
    pub async fn tasks(&self, engine: &Engine) -> Result<Vec<Task>, Error> {
        let filters = HashMap::from([("service".to_owned(), vec![self.id.clone()])]);
        let tasks = engine
            .api
            .list_tasks(Some(ListTasksOptions {
                filters: Some(filters),
            }))
            .await;
        Ok(tasks.map_err(|error| {
            engine.error(format!("cannot list the tasks of {}", self.name), error)
        })?)
    }

    /// Waits until `target` tasks run; a task with a health check runs once it is healthy.
    pub async fn wait_running(
        &self,
        engine: &Engine,
        target: u32,
        deadline: Deadline,
    ) -> Result<(), Error> {
        loop {
            let tasks = self.tasks(engine).await?;
            let running = running(&tasks);
            if running >= target {
                return Ok(());
            }
            if Instant::now() + POLL >= deadline.work {
                let name = self.name.clone();
                return Err(Error::NotRunning {
                    name,
                    running,
                    target,
                    reason: last_error(&tasks),
                });
            }
            sleep(POLL).await;
        }
    }
}

/// Whether the task runs, or is on its way to.
pub fn is_wanted(task: &Task) -> bool {
    matches!(
        task.desired_state,
        Some(TaskState::RUNNING | TaskState::READY)
    )
}

/// How many of the tasks run, and are to run.
pub fn running(tasks: &[Task]) -> u32 {
    let state = |task: &Task| task.status.as_ref().and_then(|status| status.state);
    let running = |task: &&Task| is_wanted(task) && state(task) == Some(TaskState::RUNNING);
    tasks.iter().filter(running).count() as u32
}

/// What the engine says of the task that failed last.
fn last_error(tasks: &[Task]) -> String {
    let failed = tasks.iter().filter_map(|task| {
        let status = task.status.as_ref()?;
        let error = status.err.as_ref().filter(|error| !error.is_empty())?;
        Some((status.timestamp.as_ref().map(ToString::to_string), error))
    });
    failed.max().map_or_else(
        || "the tasks are still being prepared".to_owned(),
        |(_, error)| error.clone(),
    )
}
