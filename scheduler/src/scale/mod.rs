//! Scaling: observe, decide (pure), execute.

pub mod compose;
mod error;
pub mod limit;
mod list;
mod outcome;
pub mod plan;
mod program;
mod resize;
mod session;
pub mod state;
mod step;
pub mod swarm;
pub mod vertical;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

pub use error::Error;
pub use list::list;
pub use resize::resize;
pub use step::scale;

/// When the parts of a run must be over, one after the other; a part has what those before it did not need, too.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// What was asked for.
    pub work: Instant,
    /// Clearing away what was left half made.
    pub cleared: Instant,
    /// Telling Zabbix the outcome.
    pub told: Instant,
    /// Logging out, and with it everything.
    pub end: Instant,
}

impl Deadline {
    fn after(limit: Duration) -> Self {
        let now = Instant::now();
        let reserve = (limit / 8).min(Duration::from_secs(2));
        // The last fifth is for what no deadline reaches: the process's own start and end, and a busy machine.
        let fifths = |count: u32| now + limit - reserve + reserve / 5 * count;
        Self {
            work: fifths(0),
            cleared: fifths(2),
            told: fifths(3),
            end: fifths(4),
        }
    }
}

/// Seconds since 1970; a clock before that counts as 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_run_ends_before_its_limit() {
        for limit in [1, 10, 600].map(Duration::from_secs) {
            let begun = Instant::now();
            let Deadline {
                work,
                cleared,
                told,
                end,
            } = Deadline::after(limit);
            assert!(begun < work && work < cleared && cleared < told && told < end);
            assert!(end < begun + limit);
        }
    }
}
