//! CPU and memory of running replicas: what the limit becomes (pure), and setting it.

use std::collections::HashMap;

use bollard::models::{ContainerStatsResponse, ContainerUpdateBody, HostConfig, Limit};
use bollard::query_parameters::{ListContainersOptions, StatsOptions};
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::StreamExt;

use super::plan::{Ceiling, Decision};
use super::{Error, compose, swarm};
use crate::cli::{Amount, Direction};
use crate::docker::Engine;
use crate::quantity;

/// What the engine refuses to go below.
const MIN_MEMORY: u64 = 6 << 20;
const MIN_CPU: u64 = 10_000_000;
/// The kernel's own scheduling period, in microseconds.
const DEFAULT_PERIOD: i64 = 100_000;
const SWARM_SERVICE: &str = "com.docker.swarm.service.id";

/// What of a container is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Memory, in bytes.
    Memory,
    /// Processors, in billionths of a core.
    Cpu,
}

impl Resource {
    /// An amount of it, as people write it.
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Memory => quantity::show_bytes(amount),
            Self::Cpu => quantity::show_cores(amount),
        }
    }

    fn least(self) -> u64 {
        match self {
            Self::Memory => MIN_MEMORY,
            Self::Cpu => MIN_CPU,
        }
    }
}

impl Amount {
    /// What it is an amount of, and how much.
    pub fn parts(self) -> (Resource, u64) {
        match self {
            Self::Memory(bytes) => (Resource::Memory, bytes),
            Self::Cpu(cores) => (Resource::Cpu, cores),
        }
    }
}

/// Decides on a limit that is `current` now, while the busiest replica uses `in_use`.
pub fn decide(
    direction: Direction,
    amount: Amount,
    current: Option<u64>,
    in_use: u64,
    ceiling: Ceiling,
) -> Result<Decision<u64>, Error> {
    let (resource, step) = amount.parts();
    let show = |amount| resource.show(amount);
    let Some(current) = current else {
        return match direction {
            Direction::Up => Ok(Decision::Already(
                "nothing to do: the service has no limit".to_owned(),
            )),
            Direction::Down => Err(Error::NoLimit),
        };
    };
    let ceiling = match resource {
        Resource::Memory => ceiling.memory,
        Resource::Cpu => ceiling.cpu,
    };
    let (sign, wanted, target, bound) = match direction {
        Direction::Up => {
            let wanted = current.saturating_add(step);
            (
                '+',
                wanted,
                wanted.min(ceiling.unwrap_or(u64::MAX)),
                "maximum",
            )
        }
        Direction::Down => {
            let wanted = current.saturating_sub(step);
            let least = in_use.max(resource.least());
            let bound = if in_use > resource.least() {
                "amount in use"
            } else {
                "least possible"
            };
            ('-', wanted, wanted.max(least), bound)
        }
    };
    let mut reason = format!("{} {sign} {} = {}", show(current), show(step), show(wanted));
    if target != wanted {
        reason.push_str(&format!(", held at the {bound}, {}", show(target)));
    }
    let moves = match direction {
        Direction::Up => target > current,
        Direction::Down => target < current,
    };
    Ok(if step == 0 {
        Decision::Already(format!("nothing to do: {reason}"))
    } else if moves {
        Decision::Change(target, reason)
    } else {
        Decision::Held(reason)
    })
}

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
            Some(Err(error)) => Err(engine
                .error("cannot ask what the containers use", error)
                .into()),
            None => Ok(0),
        }
    });
    Ok(try_join_all(used).await?.into_iter().max().unwrap_or(0))
}

fn usage(stats: &ContainerStatsResponse, resource: Resource) -> u64 {
    match resource {
        Resource::Memory => memory_usage(stats).unwrap_or(0),
        Resource::Cpu => cpu_usage(stats).unwrap_or(0),
    }
}

/// What the kernel cannot take back: the page cache of files does not count.
fn memory_usage(stats: &ContainerStatsResponse) -> Option<u64> {
    let memory = stats.memory_stats.as_ref()?;
    let detail = |name| {
        memory
            .stats
            .as_ref()
            .and_then(|stats| stats.get(name))
            .copied()
    };
    let cache = detail("total_inactive_file")
        .or_else(|| detail("inactive_file"))
        .unwrap_or(0);
    Some(memory.usage?.saturating_sub(cache))
}

fn cpu_usage(stats: &ContainerStatsResponse) -> Option<u64> {
    let (now, before) = (stats.cpu_stats.as_ref()?, stats.precpu_stats.as_ref()?);
    let total = |cpu: &bollard::models::ContainerCpuStats| {
        cpu.cpu_usage.as_ref().and_then(|usage| usage.total_usage)
    };
    let used = total(now)?.saturating_sub(total(before)?) as f64;
    let passed = now
        .system_cpu_usage?
        .saturating_sub(before.system_cpu_usage?) as f64;
    let cores = f64::from(now.online_cpus?);
    (passed > 0.0).then(|| (used / passed * cores * 1e9) as u64)
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

fn limit_of(config: &HostConfig, resource: Resource) -> Option<u64> {
    match resource {
        Resource::Memory => positive(config.memory),
        Resource::Cpu => positive(config.nano_cpus).or_else(|| {
            // The older way to say it: microseconds of each period.
            let quota = positive(config.cpu_quota)?;
            let period = positive(config.cpu_period).unwrap_or(DEFAULT_PERIOD.unsigned_abs());
            Some(quota * 1_000_000_000 / period)
        }),
    }
}

/// The request that sets a limit, in the way in which the container has it.
fn body(config: &HostConfig, resource: Resource, target: u64) -> ContainerUpdateBody {
    let mut body = ContainerUpdateBody::default();
    match resource {
        Resource::Memory => {
            let old = config.memory.unwrap_or(0);
            body.memory = Some(signed(target));
            // What is above the memory is swap, and stays; -1 is as much as there is.
            body.memory_swap =
                config
                    .memory_swap
                    .filter(|swap| *swap != 0)
                    .map(|swap| match swap {
                        -1 => -1,
                        swap if swap == 2 * old => signed(target.saturating_mul(2)),
                        swap => signed(target).saturating_add((swap - old).max(0)),
                    });
        }
        Resource::Cpu
            if positive(config.nano_cpus).is_none() && positive(config.cpu_quota).is_some() =>
        {
            let period = config
                .cpu_period
                .filter(|period| *period > 0)
                .unwrap_or(DEFAULT_PERIOD);
            body.cpu_period = Some(period);
            body.cpu_quota = Some((signed(target) / 1000).saturating_mul(period) / 1_000_000);
        }
        Resource::Cpu => body.nano_cpus = Some(signed(target)),
    }
    body
}

fn positive(limit: Option<i64>) -> Option<u64> {
    limit
        .and_then(|limit| u64::try_from(limit).ok())
        .filter(|limit| *limit > 0)
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const M: u64 = 1 << 20;

    fn memory(
        direction: Direction,
        step: u64,
        current: Option<u64>,
        in_use: u64,
        max: Option<u64>,
    ) -> Decision<u64> {
        let ceiling = Ceiling {
            memory: max,
            cpu: None,
        };
        decide(direction, Amount::Memory(step), current, in_use, ceiling).unwrap()
    }

    #[test]
    fn a_limit_is_raised_up_to_its_maximum() {
        let up = |current, max| memory(Direction::Up, 64 * M, Some(current), 0, max);
        assert!(matches!(up(64 * M, None), Decision::Change(to, _) if to == 128 * M));
        assert!(matches!(up(64 * M, Some(100 * M)), Decision::Change(to, _) if to == 100 * M));
        assert!(
            matches!(up(100 * M, Some(100 * M)), Decision::Held(reason) if reason.contains("maximum"))
        );
    }

    #[test]
    fn a_limit_never_goes_below_what_is_in_use() {
        let down = |in_use| memory(Direction::Down, 64 * M, Some(128 * M), in_use, None);
        assert!(matches!(down(90 * M), Decision::Change(to, _) if to == 90 * M));
        assert!(matches!(down(128 * M), Decision::Held(reason) if reason.contains("in use")));
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_raise_and_nothing_to_lower() {
        assert!(matches!(
            memory(Direction::Up, M, None, 0, None),
            Decision::Already(_)
        ));
        let down = decide(
            Direction::Down,
            Amount::Memory(M),
            None,
            0,
            Ceiling::default(),
        );
        assert!(matches!(down, Err(Error::NoLimit)));
    }

    fn config(memory: i64, swap: i64) -> HostConfig {
        HostConfig {
            memory: Some(memory),
            memory_swap: Some(swap),
            ..HostConfig::default()
        }
    }

    #[test]
    fn swap_is_raised_with_the_memory() {
        let swap = |memory, swap| body(&config(memory, swap), Resource::Memory, 100).memory_swap;
        assert_eq!(
            swap(64, 128),
            Some(200),
            "the engine's own default: as much again"
        );
        assert_eq!(swap(64, 64), Some(100), "none");
        assert_eq!(swap(64, 74), Some(110));
        assert_eq!(swap(64, -1), Some(-1));
        assert_eq!(swap(64, 0), None);
    }

    #[test]
    fn a_quota_stays_a_quota() {
        let quota = HostConfig {
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            ..HostConfig::default()
        };
        assert_eq!(limit_of(&quota, Resource::Cpu), Some(500_000_000));
        let body = body(&quota, Resource::Cpu, 750_000_000);
        assert_eq!(
            (body.cpu_quota, body.cpu_period, body.nano_cpus),
            (Some(75_000), Some(100_000), None)
        );
    }

    proptest! {
        #[test]
        fn a_changed_limit_goes_the_asked_way_within_its_bounds(
            is_up: bool, step: u64, current in 1..1u64 << 40, in_use in 0..1u64 << 40, max in proptest::option::of(1..1u64 << 40)
        ) {
            let direction = if is_up { Direction::Up } else { Direction::Down };
            if let Decision::Change(to, _) = memory(direction, step, Some(current), in_use, max) {
                match direction {
                    Direction::Up => prop_assert!(to > current && max.is_none_or(|max| to <= max)),
                    Direction::Down => prop_assert!(to < current && to >= in_use && to >= MIN_MEMORY),
                }
            }
        }
    }
}
