//! How a run ends: its exit code, and what goes to standard output.

use std::process::ExitCode;

use serde::Serialize;

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

/// What a scaling verb did, as the one object on standard output, the audit's line and the values for Zabbix have it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Answer {
    /// The verb.
    pub verb: &'static str,
    /// The component.
    pub component: String,
    /// compose or swarm.
    pub engine: Option<&'static str>,
    /// The Compose project.
    pub project: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// How it ended.
    pub result: Outcome,
    /// The replicas, or the limit, before.
    pub from: Option<Quantity>,
    /// The replicas, or the limit, that were aimed at.
    pub target: Option<Quantity>,
    /// The replicas that ran in the end.
    pub running: Option<u32>,
    /// The containers that were started.
    pub started: Vec<String>,
    /// The containers that were removed.
    pub removed: Vec<String>,
    /// The containers that are still stopping, because their own grace is longer than the run may be.
    pub stopping: Vec<String>,
    /// Why.
    pub reason: String,
    /// Whether it was only said, not done.
    pub dry_run: bool,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u128,
}

/// How a verb ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Something was changed.
    Done,
    /// It was already so.
    Unchanged,
    /// A bound, a cool-down or a pause forbade it.
    Held,
    /// It failed.
    #[default]
    Failed,
    /// The command line or a setting is wrong.
    Usage,
}

impl Outcome {
    /// Its exit code.
    pub fn exit(self) -> Exit {
        match self {
            Self::Done | Self::Unchanged => Exit::Done,
            Self::Held => Exit::Held,
            Self::Failed => Exit::Failed,
            Self::Usage => Exit::Usage,
        }
    }
}

/// A number of replicas, or a limit as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Quantity {
    /// Replicas.
    Count(u32),
    /// A limit.
    Limit(String),
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Limit(limit) => limit.fmt(f),
        }
    }
}

impl Answer {
    /// The result in one line, for people.
    pub fn sentence(&self) -> String {
        let show = |quantity: &Option<Quantity>| {
            quantity
                .as_ref()
                .map_or_else(|| "?".to_owned(), ToString::to_string)
        };
        let (from, target) = (show(&self.from), show(&self.target));
        let (what, component) = (
            self.verb.split('_').next_back().unwrap_or_default(),
            &self.component,
        );
        let subject = match self.verb {
            "scale_up" | "scale_down" => component.clone(),
            _ => format!("the {what} limit of {component}"),
        };
        match (self.result, self.dry_run) {
            (Outcome::Done, false) => format!("Scaled {subject} from {from} to {target}"),
            (Outcome::Done, true) => format!("Would scale {subject} from {from} to {target}"),
            _ => format!("Left {subject} at {from}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_was_done_to_what() {
        let answer = Answer {
            verb: "scale_up",
            component: "web".into(),
            result: Outcome::Done,
            from: Some(Quantity::Count(2)),
            target: Some(Quantity::Count(3)),
            ..Answer::default()
        };
        assert_eq!(answer.sentence(), "Scaled web from 2 to 3");
        let dry = Answer {
            dry_run: true,
            ..answer.clone()
        };
        assert_eq!(dry.sentence(), "Would scale web from 2 to 3");
        let held = Answer {
            result: Outcome::Held,
            ..answer.clone()
        };
        assert_eq!(held.sentence(), "Left web at 2");
        let limit = |text: &str| Some(Quantity::Limit(text.into()));
        let resized = Answer {
            verb: "increase_memory",
            from: limit("64M"),
            target: limit("128M"),
            ..answer
        };
        assert_eq!(
            resized.sentence(),
            "Scaled the memory limit of web from 64M to 128M"
        );
    }
}
