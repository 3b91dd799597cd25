//! How a run ends: its exit code, and what goes to standard output.

use std::process::ExitCode;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or already so.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// Nothing was done, because a bound, a cool-down or a pause forbids it.
    Held = 3,
    /// The command line or a setting is wrong.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
