//! The moment by which an errand must have its answer.

use std::io;
use std::time::{Duration, Instant};

/// What "never" comes to: no item waits longer than ten minutes.
const LONGEST: Duration = Duration::from_secs(3600);

/// A point in time that everything an errand does is measured against.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The deadline `duration` from now.
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        Deadline {
            at: now.checked_add(duration).unwrap_or(now + LONGEST),
        }
    }

    /// The deadline of an item whose server waits `timeout`: a tenth less (0.2 to 1 s), so that the answer is there
    /// before the server gives up.
    pub fn for_item(timeout: Duration) -> Self {
        let margin = (timeout / 10).clamp(Duration::from_millis(200), Duration::from_secs(1));
        Self::after(timeout.saturating_sub(margin))
    }

    /// The deadline `duration` before this one.
    pub fn earlier_by(&self, duration: Duration) -> Self {
        // The clock of instants is older than any errand.
        let at = self.at.checked_sub(duration).unwrap_or(self.at);
        Deadline { at }
    }

    /// The deadline of the first of `parts` attempts that share what is left.
    pub fn shared_by(&self, parts: usize) -> Self {
        let left = self.at.saturating_duration_since(Instant::now());
        Self::after(left / u32::try_from(parts).unwrap_or(u32::MAX).max(1))
    }

    /// What is left.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when nothing is.
    pub fn remaining(&self) -> io::Result<Duration> {
        let left = self.at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::Error::new(io::ErrorKind::TimedOut, "out of time"))
        } else {
            Ok(left)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_answers_before_its_server_gives_up() {
        let left = |seconds| {
            Deadline::for_item(Duration::from_secs(seconds))
                .remaining()
                .unwrap()
                .as_millis()
        };
        assert!((2300..=2700).contains(&left(3)));
        assert!((400..=800).contains(&left(1)));
        assert!((58_600..=59_000).contains(&left(60)));
    }

    #[test]
    fn attempts_share_what_is_left() {
        let whole = Deadline::after(Duration::from_secs(9));
        let share = |parts| whole.shared_by(parts).remaining().unwrap().as_millis();
        assert!((2600..=3000).contains(&share(3)));
        assert!((8600..=9000).contains(&share(1)));
    }

    #[test]
    fn nothing_is_left_once_it_has_passed() {
        let error = Deadline::after(Duration::ZERO).remaining().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
