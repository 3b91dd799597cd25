//! From the form of an older version to that of a newer one, as far as Zabbix does not do it itself: exported objects are
//! converted by its import, everything else is converted here. Pure.

mod directories;
mod places;
mod v6;
mod v7;
mod widget;

pub use directories::directories;
use serde::Serialize;
use serde_json::Value;

use super::kind::{Form, Kind};
use super::kinds::{self, KINDS};
use super::normal;
use super::plan::Desired;
use super::snapshot::{Objects, Snapshot};
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
    let mut lost = Vec::new();
    if backup.version < Version(6, 0, 0) && version >= Version(6, 0, 0) {
        v6::upgrade(&mut snapshot, &mut lost);
    }
    if backup.version < Version(7, 0, 0) && version >= Version(7, 0, 0) {
        v7::upgrade(&mut snapshot, &mut lost);
    }
    places::rename(&mut snapshot, version);
    snapshot.version = version.branch();
    for kind in KINDS.iter().filter(|kind| !kind.exists_in(version)) {
        for part in kind.parts() {
            snapshot.parts.remove(&part);
        }
    }
    for kind in KINDS {
        if matches!(kind.form, Form::Export(_)) {
            continue;
        }
        for (_, object) in objects(&mut snapshot, kind.name) {
            // An older release of this command kept more.
            normal::omit(object, kind.omit);
            if backup.version < version.branch() {
                normal::keep_only(kind, object);
                normal::sort(object);
            }
        }
    }
    lost.sort();
    let desired = Desired {
        snapshot,
        documents: backup.version,
    };
    (desired, lost)
}

/// The objects of a kind, to be changed in place.
fn objects<'a>(
    snapshot: &'a mut Snapshot,
    kind: &str,
) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    let kind = kinds::by_name(kind);
    let objects = kind.and_then(|kind: &Kind| snapshot.parts.get_mut(&kind.part()));
    objects.into_iter().flat_map(Objects::iter_mut)
}

/// Gives a field another name.
fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(value) = take(object, from) {
        object[to] = value;
    }
}

/// Takes a field out.
fn take(object: &mut Value, field: &str) -> Option<Value> {
    object.as_object_mut()?.remove(field)
}

fn lose(lost: &mut Vec<NotCarried>, kind: &str, name: &str, reason: impl Into<String>) {
    lost.push(NotCarried {
        kind: kind.to_owned(),
        name: name.to_owned(),
        reason: reason.into(),
    });
}

/// The operations of an action, of every phase.
fn operations(action: &mut Value) -> impl Iterator<Item = &mut Value> {
    const PHASES: [&str; 3] = ["operations", "recovery_operations", "update_operations"];
    let fields = action.as_object_mut().into_iter().flatten();
    fields
        .filter(|(field, _)| PHASES.contains(&field.as_str()))
        .filter_map(|(_, phase)| phase.as_array_mut())
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A backup of this version.
    pub fn backup(version: Version, objects: &[(&str, &str, Value)]) -> Snapshot {
        let mut snapshot = Snapshot::new(version);
        for (kind, name, object) in objects {
            let part = kinds::by_name(kind).unwrap().part();
            snapshot.insert(part, (*name).to_owned(), object.clone());
        }
        snapshot
    }

    /// An object of a snapshot.
    pub fn object<'a>(snapshot: &'a Snapshot, kind: &str, name: &str) -> &'a Value {
        let objects = snapshot.of_kind(kinds::by_name(kind).unwrap());
        &objects.unwrap()[name]
    }

    /// What is lost, a line each.
    pub fn lines(lost: &[NotCarried]) -> Vec<String> {
        let line = |lost: &NotCarried| format!("{} {}: {}", lost.kind, lost.name, lost.reason);
        lost.iter().map(line).collect()
    }

    #[test]
    fn a_backup_of_the_same_version_stays_as_it_is() {
        let objects = [
            ("service", "Shop", json!({"name": "Shop", "parents": []})),
            (
                "role",
                "User role",
                json!({"name": "User role", "type": "1"}),
            ),
        ];
        let backup = backup(Version(6, 0, 0), &objects);
        let (desired, lost) = upgrade(&backup, Version(6, 0, 14));
        assert_eq!((desired.snapshot.parts, lost), (backup.parts, Vec::new()));
    }

    #[test]
    fn what_an_older_release_kept_is_no_difference() {
        let kept =
            json!({"name": "Shop", "parents": [], "uuid": "20ed925256754f69abf554fa1af4fecb"});
        let backup = backup(Version(6, 0, 0), &[("service", "Shop", kept)]);
        let (desired, _) = upgrade(&backup, Version(6, 0, 0));
        let service = object(&desired.snapshot, "service", "Shop");
        assert_eq!(*service, json!({"name": "Shop", "parents": []}));
    }
}
