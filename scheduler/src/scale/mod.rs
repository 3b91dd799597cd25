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

/// When a run must have done its work, and when it must have ended.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// From here on it only tidies up.
    pub work: Instant,
    /// It returns by then.
    pub end: Instant,
}

impl Deadline {
    fn after(limit: Duration) -> Self {
        let now = Instant::now();
        let reserve = (limit / 8).min(Duration::from_secs(2));
        Self {
            work: now + limit - reserve,
            end: now + limit,
        }
    }
}

/// Seconds since 1970; a clock before that counts as 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}
