//! CPU and memory of replicas: asking for limits and use, and setting limits.

use std::collections::HashMap;

use bollard::models::{ContainerUpdateBody, HostConfig, Limit};
use bollard::query_parameters::{ListContainersOptions, StatsOptions};
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::StreamExt;

use super::limit::{Resource, body, limit_of, positive, signed, usage};
use super::{Error, compose, swarm};
use crate::docker::{Engine, is_gone};

const SWARM_SERVICE: &str = "com.docker.swarm.service.id";

/// The limit of a Compose service, as its newest container has it.
pub async fn compose_limit(
    engine: &Engine,
    service: &compose::Service,
    resource: Resource,
) -> Result<Option<u64>, Error> {
    let Some(newest) = service.newest() else {
        return Ok(None);
    };
    let config = host_config(engine, newest).await?;
    Ok(limit_of(&config, resource))
}

/// Sets the limit of each of the service's containers; where one fails, those before it get their old one back.
pub async fn set_compose_limit(
    engine: &Engine,
    service: &compose::Service,
    resource: Resource,
    target: u64,
) -> Result<(), Error> {
    let present: Vec<&compose::Instance> = service
        .instances
        .iter()
        .filter(|instance| instance.state != compose::State::Gone)
        .collect();
    let old = try_join_all(present.iter().map(|instance| host_config(engine, instance))).await?;
    let changes = present
        .iter()
        .zip(&old)
        .map(|(instance, config)| set(engine, instance, body(config, resource, target)));
    let results = join_all(changes).await;
    let Some(failed) = results.iter().position(Result::is_err) else {
        return Ok(());
    };
    let changed = results
        .iter()
        .enumerate()
        .filter(|(_, result)| result.is_ok());
    let undo = changed.map(|(place, _)| {
        let before = limit_of(&old[place], resource).unwrap_or(0);
        set(engine, present[place], body(&old[place], resource, before))
    });
    // The failure that is told is the one that made this necessary.
    join_all(undo).await;
    results.into_iter().nth(failed).unwrap_or(Ok(()))
}

/// The limit in a Swarm service's template.
pub fn swarm_limit(service: &swarm::Service, resource: Resource) -> Option<u64> {
    let limits = service
        .spec
        .task_template
        .as_ref()?
        .resources
        .as_ref()?
        .limits
        .as_ref()?;
    positive(match resource {
        Resource::Memory => limits.memory_bytes,
        Resource::Cpu => limits.nano_cpus,
    })
}

/// Sets the limit in a Swarm service's template, upon which the Swarm replaces its tasks.
pub async fn set_swarm_limit(
    engine: &Engine,
    service: &swarm::Service,
    resource: Resource,
    target: u64,
) -> Result<(), Error> {
    let mut spec = service.spec.clone();
    let template = spec.task_template.get_or_insert_default();
    let limits: &mut Limit = template
        .resources
        .get_or_insert_default()
        .limits
        .get_or_insert_default();
    match resource {
        Resource::Memory => limits.memory_bytes = Some(signed(target)),
        Resource::Cpu => limits.nano_cpus = Some(signed(target)),
    }
    service.update(engine, spec).await
}

/// What the busiest of the service's containers on this engine uses.
pub async fn compose_in_use(
    engine: &Engine,
    service: &compose::Service,
    resource: Resource,
) -> Result<u64, Error> {
    let running = service
        .instances
        .iter()
        .filter(|instance| instance.state == compose::State::Running);
    in_use(
        engine,
        running.map(|instance| instance.id.clone()),
        resource,
    )
    .await
}

/// What the busiest of the service's tasks on this engine uses; those of other nodes cannot be asked from here.
pub async fn swarm_in_use(
    engine: &Engine,
    service: &swarm::Service,
    resource: Resource,
) -> Result<u64, Error> {
    let label = format!("{SWARM_SERVICE}={}", service.id);
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptions {
        filters: Some(filters),
        ..ListContainersOptions::default()
    };
    let containers = engine.api.list_containers(Some(options)).await;
    let containers =
        containers.map_err(|error| engine.error("cannot list the containers", error))?;
    in_use(
        engine,
        containers.into_iter().filter_map(|container| container.id),
        resource,
    )
    .await
}

async fn in_use(
    engine: &Engine,
    ids: impl Iterator<Item = String>,
    resource: Resource,
) -> Result<u64, Error> {
    let used = ids.map(|id| async move {
        // The engine takes two samples, a second apart; without them there is no CPU use.
        let options = StatsOptions {
            stream: false,
            one_shot: resource == Resource::Memory,
        };
        match Box::pin(engine.api.stats(&id, Some(options))).next().await {
            Some(Ok(stats)) => Ok::<_, Error>(usage(&stats, resource)),
            // A Swarm replaces its tasks whenever it likes.
            Some(Err(error)) if is_gone(&error) => Ok(0),
            Some(Err(error)) => Err(engine
                .error("cannot ask what the containers use", error)
                .into()),
            None => Ok(0),
        }
    });
    Ok(try_join_all(used).await?.into_iter().max().unwrap_or(0))
}

async fn host_config(engine: &Engine, instance: &compose::Instance) -> Result<HostConfig, Error> {
    let seen = engine.api.inspect_container(&instance.id, None).await;
    let seen =
        seen.map_err(|error| engine.error(format!("cannot inspect {}", instance.name), error))?;
    Ok(seen.host_config.unwrap_or_default())
}

async fn set(
    engine: &Engine,
    instance: &compose::Instance,
    body: ContainerUpdateBody,
) -> Result<(), Error> {
    let updated = engine.api.update_container(&instance.id, body).await;
    updated.map_err(|error| {
        engine
            .error(
                format!("cannot change the limits of {}", instance.name),
                error,
            )
            .into()
    })
}
