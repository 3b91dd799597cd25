//! Limits of memory and CPU: what a limit becomes, and how the engine says and takes it. Pure.

use bollard::models::{ContainerCpuStats, ContainerStatsResponse, ContainerUpdateBody, HostConfig};

use super::Error;
use super::plan::{Ceiling, Decision};
use crate::cli::{Amount, Direction};
use crate::quantity;

/// What the engine refuses to go below.
const MIN_MEMORY: u64 = 6 << 20;
const MIN_CPU: u64 = 10_000_000;
/// The kernel's own scheduling period, in microseconds.
const DEFAULT_PERIOD: i64 = 100_000;

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

/// What a container uses.
pub fn usage(stats: &ContainerStatsResponse, resource: Resource) -> u64 {
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
    let total =
        |cpu: &ContainerCpuStats| cpu.cpu_usage.as_ref().and_then(|usage| usage.total_usage);
    let used = total(now)?.saturating_sub(total(before)?) as f64;
    let passed = now
        .system_cpu_usage?
        .saturating_sub(before.system_cpu_usage?) as f64;
    let cores = f64::from(now.online_cpus?);
    (passed > 0.0).then(|| (used / passed * cores * 1e9) as u64)
}

/// A container's limit, if it has one.
pub fn limit_of(config: &HostConfig, resource: Resource) -> Option<u64> {
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
pub fn body(config: &HostConfig, resource: Resource, target: u64) -> ContainerUpdateBody {
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

/// A limit as the engine gives it, where 0 is none.
pub fn positive(limit: Option<i64>) -> Option<u64> {
    limit
        .and_then(|limit| u64::try_from(limit).ok())
        .filter(|limit| *limit > 0)
}

/// A limit as the engine takes it.
pub fn signed(amount: u64) -> i64 {
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
