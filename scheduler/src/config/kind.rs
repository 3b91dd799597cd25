//! What a kind of object is: where its objects come from, what names them, and which of their fields refer to others.
//!
//! The table in [`super::kinds`] is written in these terms, and backup, plan and restore are all driven by it.

use serde_json::Value;

use super::target::Target;
use crate::zabbix::Version;

/// A kind of object, as one row of the table.
#[derive(Debug)]
pub struct Kind {
    /// What users call it: `trigger_action`.
    pub name: &'static str,
    /// Its file in a backup, without `.json`.
    pub file: &'static str,
    /// The first version that has it.
    pub since: Version,
    /// The first version that has it no longer.
    pub until: Version,
    /// How it is read and written.
    pub form: Form,
    /// The fields that hold ids of other objects.
    pub references: &'static [Reference],
    /// The fields that Zabbix takes only beside certain others.
    pub only: &'static [Only],
    /// Ids and states: fields, at any depth, that belong to one server alone.
    pub omit: &'static [&'static str],
}

/// How a kind is read and written.
#[derive(Debug)]
pub enum Form {
    /// By configuration.export and configuration.import, which use names already.
    Export(&'static Export),
    /// By get, create, update and delete.
    Objects(&'static Api),
    /// Some fields of objects that another kind makes: by get and update.
    Aspect(&'static Api),
    /// One object that is always there: by get and update.
    Setting(&'static Api),
}

/// How configuration.export and configuration.import know a kind.
#[derive(Debug)]
pub struct Export {
    /// Whose ids are exported.
    pub target: &'static Target,
    /// The export's option that takes the ids.
    pub option: fn(Version) -> &'static str,
    /// The section of the document that lists the objects.
    pub section: fn(Version) -> &'static str,
    /// The objects' field that names them.
    pub key: &'static str,
    /// Further sections that belong to the objects, such as triggers over several hosts.
    pub beside: &'static [&'static str],
    /// How many objects one call carries.
    pub batch: usize,
}

/// How the other methods know a kind.
#[derive(Debug)]
pub struct Api {
    /// What it is as a target of references: its methods, its id, its name.
    pub target: &'static Target,
    /// The parameters of its get.
    pub get: fn(Version) -> Value,
    /// From what get answers to the form that is kept, before names take the place of ids.
    pub inward: Option<fn(&mut Value)>,
    /// From the form that is kept to what create takes, where the two differ.
    pub outward: Option<fn(&mut Value, Version)>,
    /// Whether an update carries only the fields that differ.
    pub changes_only: bool,
}

/// A field that holds the id of another object.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// Where.
    pub path: &'static str,
    /// To what.
    pub to: &'static Target,
    /// Only beside such a field.
    pub when: Option<When>,
}

/// A field that Zabbix takes only beside certain others.
#[derive(Debug, Clone, Copy)]
pub struct Only {
    /// The field.
    pub path: &'static str,
    /// What must stand beside it.
    pub when: When,
}

/// A condition: a field beside has one of these values. A leading `/` means a field of the whole object.
#[derive(Debug, Clone, Copy)]
pub struct When(pub &'static str, pub &'static [&'static str]);

impl When {
    /// Whether the condition holds for a field of `parent`, inside `root`.
    pub fn holds(&self, root: &Value, parent: &serde_json::Map<String, Value>) -> bool {
        let value = match self.0.strip_prefix('/') {
            Some(field) => root.get(field),
            None => parent.get(self.0),
        };
        value
            .and_then(Value::as_str)
            .is_some_and(|value| self.1.contains(&value))
    }
}

impl Kind {
    /// Whether this version of Zabbix has the kind.
    pub fn exists_in(&self, version: Version) -> bool {
        self.since <= version && version < self.until
    }

    /// What its objects are as targets of references.
    pub fn target(&self) -> &'static Target {
        match &self.form {
            Form::Export(export) => export.target,
            Form::Objects(api) | Form::Aspect(api) | Form::Setting(api) => api.target,
        }
    }
}
