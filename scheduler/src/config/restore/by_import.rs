//! What is made by `configuration.import`: hosts, templates and the like, and the triggers and graphs that lie on them.

use serde_json::{Value, json};

use super::Restore;
use crate::config::import::{self, May};
use crate::config::kind::{Export, Form};
use crate::config::plan::{Change, Step};
use crate::config::secrets::{self, Missing, State};
use crate::config::snapshot::Part;
use crate::config::{depend, kinds, made_up, own};
use crate::progress::Progress;
use crate::zabbix::{Error, dialect};

impl Restore<'_> {
    /// Imports the steps' objects, those together of which an import may do the same.
    pub(super) async fn import_in_batches(
        &mut self,
        steps: &[Step],
        export: &Export,
        beside: &mut Vec<Step>,
        progress: &Progress,
    ) -> Result<(), crate::config::Error> {
        let mut waiting = steps.to_vec();
        while let Some(first) = waiting.first() {
            let may = self.may(std::slice::from_ref(first));
            let (steps, others): (Vec<Step>, Vec<Step>) = waiting
                .into_iter()
                .partition(|step| self.may(std::slice::from_ref(step)) == may);
            waiting = others;
            for steps in steps.chunks(export.batch) {
                self.import_at_once(steps, beside, progress).await?;
            }
        }
        Ok(())
    }

    /// Imports the steps' objects with one document, where Zabbix takes it.
    pub(super) async fn import_at_once(
        &mut self,
        steps: &[Step],
        beside: &mut Vec<Step>,
        progress: &Progress,
    ) -> Result<(), crate::config::Error> {
        let steps = self.with_psks(steps)?;
        self.import(&steps, beside).await?;
        progress.advance_by(steps.len());
        Ok(())
    }

    /// The steps with PSKs made up where hosts lack theirs: up to 5.2 an import takes no host without.
    fn with_psks(&mut self, steps: &[Step]) -> Result<Vec<Step>, crate::config::Error> {
        let mut steps = steps.to_vec();
        let mut made_up = Vec::new();
        if dialect::exports_psk(self.documents.version)
            && dialect::exports_psk(self.client.version())
        {
            for step in steps.iter_mut().filter(|step| step.kind.name == "host") {
                let name = &step.name;
                let (Change::Create(object) | Change::Update(object, _)) = &mut step.change else {
                    continue;
                };
                let Some(fields) = object.as_object_mut() else {
                    continue;
                };
                if !made_up::uses_psk(fields) {
                    // The server's own, which it refuses from a host that shall use none.
                    fields.remove("tls_psk");
                } else if !fields.contains_key("tls_psk") {
                    let secret = made_up::random::<32>();
                    fields.insert("tls_psk".to_owned(), json!(secret));
                    made_up.push(Missing {
                        kind: step.kind.name.to_owned(),
                        name: name.clone(),
                        field: "tls_psk".to_owned(),
                        state: State::Generated(secret),
                    });
                }
            }
        }
        if !made_up.is_empty() {
            (self.keep)(made_up)?;
        }
        Ok(steps)
    }

    /// Imports the steps' objects, halving what is refused. Triggers and graphs beside them come along as soon as all that
    /// they lie on is there: dashboards and other triggers may need them.
    async fn import(&mut self, steps: &[Step], beside: &mut Vec<Step>) -> Result<(), Error> {
        let steps = if self.may(steps).update {
            steps.to_vec()
        } else {
            self.update_own(steps).await?
        };
        let mut waiting = vec![steps];
        while let Some(steps) = waiting.pop() {
            let Some(first) = steps.first() else { continue };
            let Form::Export(export) = &first.kind.form else {
                continue;
            };
            let (along, rest): (Vec<Step>, Vec<Step>) = std::mem::take(beside)
                .into_iter()
                .partition(|step| self.comes_along(step, &steps));
            *beside = rest;
            match self.import_once(export, &steps, &along, beside).await {
                Ok(_) => {
                    self.count(&steps);
                    self.count(&along);
                }
                Err(error) if steps.len() == 1 && error.is_refusal() && !along.is_empty() => {
                    // One of those that came along may be what Zabbix will not take; each is tried alone later.
                    beside.extend(along);
                    match self.import_once(export, &steps, &[], beside).await {
                        Ok(_) => self.count(&steps),
                        Err(error) => self.refused(steps, error, &mut waiting)?,
                    }
                }
                Err(error) => {
                    beside.extend(along);
                    self.refused(steps, error, &mut waiting)?;
                }
            }
        }
        Ok(())
    }

    async fn import_once(
        &self,
        export: &Export,
        steps: &[Step],
        along: &[Step],
        waiting: &[Step],
    ) -> Result<Value, Error> {
        let Some(first) = steps.first() else {
            return Ok(Value::Null);
        };
        let mut objects: Vec<Value> = steps.iter().filter_map(Step::object).cloned().collect();
        objects.iter_mut().for_each(secrets::blank);
        let may = self.may(steps);
        let mut beside: Vec<(&str, Value)> = along
            .iter()
            .filter_map(|step| Some((step.part.beside, step.object()?.clone())))
            .collect();
        if may.delete && first.part.beside.is_empty() {
            beside.extend(self.to_keep(first.kind.name, export, steps, along, waiting));
        }
        let request = import::request(
            first.part,
            export,
            &objects,
            &beside,
            self.documents,
            self.client.version(),
            may,
        );
        self.client.call(&request).await
    }

    /// The triggers and graphs on nothing but the steps' objects that both sides have. An import that may delete takes those
    /// that its document lacks. Those that wait for what they depend on wait without it.
    fn to_keep(
        &self,
        kind: &'static str,
        export: &Export,
        steps: &[Step],
        along: &[Step],
        waiting: &[Step],
    ) -> Vec<(&'static str, Value)> {
        let version = self.documents.version;
        let is_made = |host: &String| steps.iter().any(|step| step.name == *host);
        let mut kept = Vec::new();
        for beside in export.beside {
            let part = Part { kind, beside };
            let is_among = |steps: &[Step], name: &String| {
                steps
                    .iter()
                    .any(|step| step.part == part && step.name == *name)
            };
            for (name, object) in self.observed.objects(part).into_iter().flatten() {
                let desired = self.documents.objects(part);
                if is_among(along, name)
                    || desired.is_none_or(|desired| !desired.contains_key(name))
                    || !depend::lies_on(object, version).iter().all(is_made)
                {
                    continue;
                }
                let mut object = object.clone();
                if let (true, Some(fields)) = (is_among(waiting, name), object.as_object_mut()) {
                    fields.remove("dependencies");
                }
                kept.push((*beside, object));
            }
        }
        kept
    }

    /// What an import of the steps' objects may do: it shall not blank secret macros.
    fn may(&self, steps: &[Step]) -> May {
        let is_there = |holds: fn(&Value, &Value) -> bool| {
            steps.iter().any(|step| {
                let observed = self.on_server(step).map(|(_, observed)| observed);
                step.object()
                    .zip(observed)
                    .is_some_and(|(desired, observed)| holds(desired, observed))
            })
        };
        May {
            delete: steps
                .iter()
                .any(|step| self.prune.contains(&step.kind.name)),
            update: !is_there(|desired, _| own::has_unknown_secret(desired)),
            update_rules: !is_there(own::has_unknown_secret_prototypes),
        }
    }

    /// What the server has in the place of the step's object, and its name there: an import knows a template by its UUID.
    fn on_server(&self, step: &Step) -> Option<(&String, &Value)> {
        let objects = self.observed.objects(step.part)?;
        let uuid = step.object()?.get("uuid");
        let renamed = || {
            let uuid = uuid.filter(|_| step.kind.name == "template")?;
            objects
                .iter()
                .find(|(_, other)| other.get("uuid") == Some(uuid))
        };
        renamed().or_else(|| objects.get_key_value(&step.name))
    }

    /// Writes the own fields of the objects that are there, and answers with the steps that are left to import.
    async fn update_own(&mut self, steps: &[Step]) -> Result<Vec<Step>, Error> {
        let Some(kind) = steps.first().map(|step| step.kind) else {
            return Ok(Vec::new());
        };
        let target = kind.target();
        let id = |step: &Step| {
            let (name, _) = self.on_server(step)?;
            self.names.ids(target, &json!(name)).first()
        };
        let ids: Vec<&String> = steps.iter().filter_map(id).collect();
        let inside = self.client.call(&own::ids_inside(kind, &ids)).await?;
        let mut left = Vec::new();
        let mut ready = Vec::new();
        let mut failed = Vec::new();
        for step in steps {
            let observed = self.on_server(step).map(|(_, observed)| observed);
            let inside = id(step).and_then(|id| {
                let inside = inside.as_array()?.iter();
                inside.clone().find(|inside| inside[target.id] == *id)
            });
            let (Some(desired), Some(observed), Some(inside)) = (step.object(), observed, inside)
            else {
                left.push(step.clone());
                continue;
            };
            let unlink = self.prune.contains(&kind.name);
            let version = self.client.version();
            match own::update(
                kind,
                desired,
                observed,
                inside,
                &self.names,
                version,
                unlink,
            ) {
                Err(error) => failed.push((step.clone(), error.to_string())),
                Ok(None) => left.push(step.clone()),
                Ok(Some(update)) => ready.push((step.clone(), update)),
            }
        }
        for (step, error) in failed {
            self.fail(&step, error);
        }
        left.extend(self.send(&format!("{}.update", target.api), ready).await?);
        Ok(left)
    }

    /// Whether the trigger or graph lies on one of the steps' objects, and on nothing that is not there yet.
    fn comes_along(&self, beside: &Step, steps: &[Step]) -> bool {
        let Some(object) = beside.object() else {
            return false;
        };
        let hosts = depend::hosts(object, self.documents.version);
        let is_made = |host: &String| steps.iter().any(|step| step.name == *host);
        let is_there = |host: &String| {
            let name = json!(host);
            !self.names.ids(&kinds::TEMPLATE, &name).is_empty()
                || !self.names.ids(&kinds::HOST, &name).is_empty()
        };
        hosts.iter().any(is_made) && hosts.iter().all(|host| is_made(host) || is_there(host))
    }
}
