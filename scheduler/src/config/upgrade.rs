//! From the form of an older version to that of a newer one, as far as Zabbix does not do it itself.

use serde::Serialize;

use super::plan::Desired;
use super::snapshot::Snapshot;
use crate::zabbix::Version;

/// What the newer version has no place for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotCarried {
    /// The object's kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is lost, and why.
    pub reason: String,
}

/// Brings a backup to the form of `version`.
pub fn upgrade(backup: &Snapshot, version: Version) -> (Desired, Vec<NotCarried>) {
    let mut snapshot = backup.clone();
    snapshot.version = version.branch();
    let desired = Desired {
        snapshot,
        documents: backup.version,
    };
    (desired, Vec::new())
}
