//! From what a backup holds and what a server has to the steps that make the second like the first. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::converted::Converted;
use super::depend;
use super::diff::{Difference, differences, keep_prototypes, known_fields, same_fields, with_kept};
use super::kind::{Form, Kind};
use super::kinds::{KINDS, by_name};
use super::secrets;
use super::snapshot::{Objects, Part, Snapshot};
use crate::zabbix::Version;

/// What a backup wants of one server: objects in the form of that server's version.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The objects.
    pub snapshot: Snapshot,
    /// The version that exported objects are written in; Zabbix converts older ones itself as it imports them.
    pub documents: Version,
}

impl Desired {
    /// Whether exported objects are of an older version than the server.
    pub fn is_older(&self) -> bool {
        self.documents != self.snapshot.version
    }
}

/// What may be deleted.
#[derive(Debug, Clone, Default)]
pub struct Deletions {
    /// All templates of the server, before anything else.
    pub templates: bool,
    /// Kinds of which everything goes that the backup does not have.
    pub prune: Vec<&'static str>,
}

/// Every step, in the order in which they are made.
#[derive(Debug, Default)]
pub struct Plan {
    /// Deletions that come first.
    pub clear: Vec<Step>,
    /// Creations and updates, by part in the order of the table.
    pub steps: Vec<Step>,
    /// Deletions that come last.
    pub prune: Vec<Step>,
    /// The number of objects that are as they should be.
    pub unchanged: usize,
}

/// One object to create, update or delete.
#[derive(Debug, Clone)]
pub struct Step {
    /// The object's kind.
    pub kind: &'static Kind,
    /// The part that it belongs to.
    pub part: Part,
    /// Its name.
    pub name: String,
    /// What to do.
    pub change: Change,
}

/// What to do with an object.
#[derive(Debug, Clone)]
pub enum Change {
    /// Make it.
    Create(Value),
    /// Bring it to this.
    Update(Value, Vec<Difference>),
    /// Remove it.
    Delete,
}

impl Step {
    /// The object as it shall be.
    pub fn object(&self) -> Option<&Value> {
        match &self.change {
            Change::Create(object) | Change::Update(object, _) => Some(object),
            Change::Delete => None,
        }
    }
}

impl Plan {
    /// All steps, in order.
    pub fn all(&self) -> impl Iterator<Item = &Step> {
        self.clear.iter().chain(&self.steps).chain(&self.prune)
    }
}

/// Plans a restore.
pub fn plan(
    desired: &Desired,
    observed: &Snapshot,
    deletions: &Deletions,
    converted: &Converted,
) -> Plan {
    let mut plan = Plan::default();
    let cleared;
    let observed = if deletions.templates {
        let kinds = by_name("template").into_iter();
        plan.clear = kinds
            .flat_map(|kind| deletes(kind, kind.part(), observed, &Objects::new()))
            .collect();
        cleared = without_templates(observed.clone());
        &cleared
    } else {
        observed
    };
    for kind in KINDS {
        let prune = deletions.prune.contains(&kind.name);
        // What Zabbix will make of an older document is not known, and so not what is beyond it either.
        let prune_inside = prune && !desired.is_older();
        for part in kind.parts() {
            let Some(objects) = desired.snapshot.objects(part) else {
                continue;
            };
            let empty = Objects::new();
            let theirs = observed.objects(part).unwrap_or(&empty);
            for (name, object) in objects {
                let change = match theirs.get(name) {
                    _ if is_converted(desired, kind, converted, part, name, object, observed) => {
                        None
                    }
                    None => Some(Change::Create(object.clone())),
                    Some(theirs) => update(desired, kind, object, theirs, prune_inside),
                };
                match change {
                    None => plan.unchanged += 1,
                    Some(change) => plan.steps.push(Step {
                        kind,
                        part,
                        name: name.clone(),
                        change,
                    }),
                }
            }
            if prune_inside || prune && part.beside.is_empty() {
                let mut steps = deletes(kind, part, observed, objects);
                steps.append(&mut plan.prune);
                plan.prune = steps;
            }
        }
    }
    plan
}

/// Steps of one part, in layers: what a step refers to lies in an earlier layer. The last layer may be a knot of objects
/// that refer to each other.
pub fn layers(steps: &[Step], older: Version) -> (Vec<Vec<Step>>, Vec<Step>) {
    let position: HashMap<&str, usize> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| (step.name.as_str(), index))
        .collect();
    let mut waiting: BTreeMap<usize, HashSet<usize>> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let names = step
                .object()
                .map(|object| depend::on(step.kind, object, older));
            let needs = names.unwrap_or_default();
            let needs = needs.iter().filter_map(|name| position.get(name.as_str()));
            (
                index,
                needs.copied().filter(|need| *need != index).collect(),
            )
        })
        .collect();
    let mut layers = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<usize> = waiting
            .iter()
            .filter(|(_, needs)| needs.iter().all(|need| !waiting.contains_key(need)))
            .map(|(index, _)| *index)
            .collect();
        if ready.is_empty() {
            let knot = waiting.keys().map(|index| steps[*index].clone()).collect();
            return (layers, knot);
        }
        for index in &ready {
            waiting.remove(index);
        }
        layers.push(ready.iter().map(|index| steps[*index].clone()).collect());
    }
    (layers, Vec::new())
}

fn update(
    desired: &Desired,
    kind: &Kind,
    object: &Value,
    observed: &Value,
    prune: bool,
) -> Option<Change> {
    if object == observed {
        return None;
    }
    let mut object = object.clone();
    secrets::fill_in(&mut object, observed);
    let exported = matches!(kind.form, Form::Export(_));
    let found = match (exported, prune) {
        (true, true) => differences(&object, observed),
        (true, false) => differences(&with_kept(object.clone(), observed), observed),
        (false, _) if desired.is_older() => {
            let mut known = known_fields(&object, observed);
            super::normal::sort(&mut known);
            differences(&object, &known)
        }
        (false, _) => differences(&object, &same_fields(&object, observed)),
    };
    if found.is_empty() {
        return None;
    }
    if exported && !prune && !desired.is_older() {
        keep_prototypes(&mut object, observed);
    }
    // Field by field, an older document differs from what it was turned into almost everywhere.
    let found = if exported && desired.is_older() {
        Vec::new()
    } else {
        found
    };
    Some(Change::Update(object, found))
}

/// Whether an exported object of an older version was imported before, and is still what it was turned into then.
fn is_converted(
    desired: &Desired,
    kind: &Kind,
    converted: &Converted,
    part: Part,
    name: &str,
    object: &Value,
    observed: &Snapshot,
) -> bool {
    desired.is_older()
        && matches!(kind.form, Form::Export(_))
        && converted.holds(part, name, object, observed)
}

fn deletes(kind: &'static Kind, part: Part, observed: &Snapshot, keep: &Objects) -> Vec<Step> {
    let theirs = observed.objects(part).into_iter().flatten();
    theirs
        .filter(|(name, _)| !keep.contains_key(*name))
        .map(|(name, _)| Step {
            kind,
            part,
            name: name.clone(),
            change: Change::Delete,
        })
        .collect()
}

/// What a server has once all its templates are deleted, as far as a plan can know.
fn without_templates(mut observed: Snapshot) -> Snapshot {
    for (part, objects) in &mut observed.parts {
        match (part.kind, part.beside) {
            ("template", _) => objects.clear(),
            ("host", "") => {
                for host in objects.values_mut().filter_map(Value::as_object_mut) {
                    host.remove("templates");
                }
            }
            _ => {}
        }
    }
    observed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::kinds;

    const V6: Version = Version(6, 0, 0);

    fn snapshot(objects: &[(&str, &str, Value)]) -> Snapshot {
        let mut snapshot = Snapshot::new(V6);
        for (kind, name, object) in objects {
            let part = kinds::by_name(kind).unwrap().part();
            snapshot.insert(part, (*name).to_owned(), object.clone());
        }
        snapshot
    }

    fn desired(objects: &[(&str, &str, Value)]) -> Desired {
        Desired {
            snapshot: snapshot(objects),
            documents: V6,
        }
    }

    fn planned(desired: &Desired, observed: &Snapshot, deletions: &Deletions) -> Vec<String> {
        let plan = plan(desired, observed, deletions, &Converted::default());
        plan.all()
            .map(|step| {
                let verb = match &step.change {
                    Change::Create(_) => "create",
                    Change::Update(..) => "update",
                    Change::Delete => "delete",
                };
                format!("{verb} {} {}", step.kind.name, step.name)
            })
            .collect()
    }

    #[test]
    fn what_is_missing_is_created_and_what_differs_is_updated_in_the_order_of_the_table() {
        let desired = desired(&[
            ("trigger_action", "a", json!({"name": "a", "status": "0"})),
            ("host_group", "g", json!({"name": "g"})),
            ("host", "h", json!({"host": "h"})),
        ]);
        let observed = snapshot(&[
            ("trigger_action", "a", json!({"name": "a", "status": "1"})),
            ("trigger_action", "other", json!({"name": "other"})),
            ("host", "h", json!({"host": "h"})),
        ]);
        assert_eq!(
            planned(&desired, &observed, &Deletions::default()),
            ["create host_group g", "update trigger_action a"]
        );
    }

    #[test]
    fn nothing_is_deleted_unless_asked() {
        let desired = desired(&[("host", "h", json!({"host": "h"}))]);
        let observed = snapshot(&[
            ("host", "h", json!({"host": "h"})),
            ("host", "old", json!({"host": "old"})),
            ("template", "t", json!({"template": "t"})),
        ]);
        assert!(planned(&desired, &observed, &Deletions::default()).is_empty());
        let prune = Deletions {
            prune: vec!["host"],
            ..Deletions::default()
        };
        assert_eq!(planned(&desired, &observed, &prune), ["delete host old"]);
        let templates = Deletions {
            templates: true,
            ..Deletions::default()
        };
        assert_eq!(
            planned(&desired, &observed, &templates),
            ["delete template t"]
        );
    }

    #[test]
    fn after_all_templates_are_deleted_hosts_are_linked_again() {
        let host = json!({"host": "h", "templates": [{"name": "t"}]});
        let objects = [
            ("host", "h", host),
            ("template", "t", json!({"template": "t"})),
        ];
        let deletions = Deletions {
            templates: true,
            ..Deletions::default()
        };
        assert_eq!(
            planned(&desired(&objects), &snapshot(&objects), &deletions),
            ["delete template t", "create template t", "update host h"]
        );
    }

    #[test]
    fn what_a_template_has_beyond_the_backup_goes_only_with_prune() {
        let desired = desired(&[(
            "template",
            "t",
            json!({"template": "t", "items": [{"key": "a"}]}),
        )]);
        let observed = snapshot(&[(
            "template",
            "t",
            json!({"template": "t", "items": [{"key": "a"}, {"key": "b"}]}),
        )]);
        assert!(planned(&desired, &observed, &Deletions::default()).is_empty());
        let prune = Deletions {
            prune: vec!["template"],
            ..Deletions::default()
        };
        assert_eq!(planned(&desired, &observed, &prune), ["update template t"]);
    }

    #[test]
    fn what_is_beyond_an_older_backup_is_known_of_objects_alone() {
        let beside = Part {
            kind: "template",
            beside: "triggers",
        };
        let template = json!({"template": "t", "items": [{"key": "a"}]});
        let mut desired = desired(&[("template", "t", template.clone())]);
        desired.snapshot.parts.entry(beside).or_default();
        let mut observed = snapshot(&[
            ("template", "old", template.clone()),
            ("template", "t", template),
        ]);
        observed.insert(
            beside,
            "n: e".into(),
            json!({"name": "n", "expression": "e"}),
        );
        let prune = Deletions {
            prune: vec!["template"],
            ..Deletions::default()
        };
        assert_eq!(
            planned(&desired, &observed, &prune),
            ["delete template n: e", "delete template old"]
        );
        desired.documents = Version(5, 0, 0);
        assert_eq!(
            planned(&desired, &observed, &prune),
            ["delete template old"]
        );
    }

    #[test]
    fn parents_come_before_children_and_a_knot_is_told() {
        let step = |name: &str, parent: &str| Step {
            kind: kinds::by_name("service").unwrap(),
            part: kinds::by_name("service").unwrap().part(),
            name: name.to_owned(),
            change: Change::Create(json!({"name": name, "parents": [{"serviceid": parent}]})),
        };
        let names = |steps: &[Step]| {
            steps
                .iter()
                .map(|step| step.name.clone())
                .collect::<Vec<_>>()
        };
        let (layers_found, knot) = layers(&[step("c", "b"), step("b", "a"), step("a", "root")], V6);
        assert_eq!(
            layers_found
                .iter()
                .map(|layer| names(layer))
                .collect::<Vec<_>>(),
            [["a"], ["b"], ["c"]]
        );
        assert!(knot.is_empty());
        let (_, knot) = layers(&[step("x", "y"), step("y", "x")], V6);
        assert_eq!(names(&knot), ["x", "y"]);
    }
}
