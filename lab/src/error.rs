//! What the lab ran into.

use std::io;

/// What can go wrong in the lab; the text says what failed, on what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part of the machine is missing.
    #[error("{what} is missing; {remedy}")]
    Missing {
        /// The part.
        what: String,
        /// What brings it.
        remedy: String,
    },
    /// A command of the machine failed.
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A container did not come up, or ended too early.
    #[error("the container {name} did not get ready; the end of its log:\n{log}")]
    NotReady {
        /// Its name.
        name: String,
        /// The end of its log.
        log: String,
    },
    /// The Zabbix API refused a call.
    #[error("Zabbix API {method}: {message}")]
    Api {
        /// The method called.
        method: String,
        /// Zabbix's own words.
        message: String,
    },
    /// An answer had another shape than its protocol says.
    #[error("{from} answered what cannot be read: {answer}")]
    Answer {
        /// Who answered.
        from: String,
        /// The answer, shortened.
        answer: String,
    },
    /// An agent has no value for an item key.
    #[error("item {key} is not supported: {reason}")]
    NotSupported {
        /// The item key.
        key: String,
        /// The agent's reason.
        reason: String,
    },
    /// What was waited for did not happen in time.
    #[error("{what} did not happen within {seconds} s")]
    TooLate {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
    },
    /// The pod's network namespace cannot be entered.
    #[error(
        "cannot enter the network of {container}: {reason}; this needs root (sudo -E cargo lab ...)"
    )]
    Namespace {
        /// The container that owns it.
        container: String,
        /// The kernel's reason.
        reason: nix::Error,
    },
    /// Tests failed; they said so themselves.
    #[error("tests failed ({status})")]
    TestsFailed {
        /// How cargo ended.
        status: std::process::ExitStatus,
    },
    /// A push takes more instructions than it took.
    #[error(
        "a push takes {now:.1} instructions a value, and {committed:.1} are committed in benches/instructions.json: \
         find what grew (the profiles are target/bench/callgrind.*.out), or accept it: cargo lab instructions --accept"
    )]
    Slower {
        /// What was counted.
        now: f64,
        /// What is committed.
        committed: f64,
    },
    /// Tests left containers behind.
    #[error("containers were left behind: {}; remove them with: docker rm -f", containers.join(", "))]
    LeftBehind {
        /// Their names.
        containers: Vec<String>,
    },
    /// The courier did not do what it should.
    #[error("{0}")]
    Unproven(String),
    /// A file, socket or process of this machine failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error and what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
