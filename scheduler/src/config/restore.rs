//! Carrying out a plan: layer by layer, in batches; a batch that is refused is halved until the object is found that Zabbix
//! will not take.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::depend;
use super::import::{self, May};
use super::kind::{Api, Export, Form, Kind};
use super::kinds;
use super::made_up;
use super::names::{self, Names};
use super::normal::localise;
use super::own;
use super::plan::{Change, Plan, Step, layers};
use super::progress::Progress;
use super::secrets::{self, Missing, State};
use super::snapshot::{Part, Snapshot};
use super::target::Target;
use crate::zabbix::{Client, Error, Request, dialect};

/// How many objects one create or update carries.
const BATCH: usize = 50;

/// An object that Zabbix did not take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failed {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Zabbix's own words.
    pub error: String,
}

/// What has been done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Objects made.
    pub created: usize,
    /// Objects changed.
    pub updated: usize,
    /// Objects removed.
    pub deleted: usize,
    /// Objects that Zabbix did not take.
    pub failed: Vec<Failed>,
}

/// What a restore works with.
pub struct Restore<'a> {
    /// The server.
    pub client: &'a Client,
    /// The names that stand for ids on it.
    pub names: Names,
    /// What it held before.
    pub observed: Snapshot,
    /// The backup's documents, for what an import needs beside an object.
    pub documents: &'a Snapshot,
    /// Kinds of which an import may delete what it does not name.
    pub prune: &'a [&'static str],
    /// Called with the secrets made up for new objects, before the objects are made.
    pub keep: &'a mut dyn FnMut(Vec<Missing>) -> Result<(), super::Error>,
    /// What has been done so far.
    pub outcome: Outcome,
}

impl Restore<'_> {
    /// Makes every step of the plan. Only a lost connection ends it early; what Zabbix refuses is told at the end.
    pub async fn carry_out(&mut self, plan: &Plan) -> Result<(), super::Error> {
        let progress = Progress::new("restoring", plan.all().count());
        self.delete(&plan.clear, &progress).await?;
        for steps in plan.steps.chunk_by(|a, b| a.kind.name == b.kind.name) {
            let (own, mut beside): (Vec<Step>, Vec<Step>) = steps
                .iter()
                .cloned()
                .partition(|step| step.part.beside.is_empty());
            self.make(&own, &mut beside, &progress).await?;
            // What is left lies on objects that needed no change themselves.
            let beside = std::mem::take(&mut beside);
            for steps in beside.chunk_by(|a, b| a.part == b.part) {
                self.make(steps, &mut Vec::new(), &progress).await?;
            }
        }
        self.delete(&plan.prune, &progress).await?;
        progress.finish();
        Ok(())
    }

    /// Makes steps of one part, and takes from `beside` what came along.
    async fn make(
        &mut self,
        steps: &[Step],
        beside: &mut Vec<Step>,
        progress: &Progress,
    ) -> Result<(), super::Error> {
        let (layers, knot) = layers(steps, self.documents.version);
        for layer in layers {
            self.make_layer(&layer, beside, BATCH, progress).await?;
        }
        let Some(first) = knot.first() else {
            return Ok(());
        };
        if let Form::Export(_) = first.kind.form {
            // Two templates may depend on each other's triggers: one document takes both.
            return self.make_layer(&knot, beside, usize::MAX, progress).await;
        }
        let circle: Vec<&str> = knot.iter().map(|step| step.name.as_str()).collect();
        let error = format!(
            "it is part of a circle of references: {}",
            circle.join(", ")
        );
        for step in &knot {
            self.fail(step, error.clone());
        }
        progress.advance_by(knot.len());
        Ok(())
    }

    async fn make_layer(
        &mut self,
        steps: &[Step],
        beside: &mut Vec<Step>,
        batch: usize,
        progress: &Progress,
    ) -> Result<(), super::Error> {
        let Some(first) = steps.first() else {
            return Ok(());
        };
        let kind = first.kind;
        match &kind.form {
            Form::Export(_) if batch == usize::MAX => {
                let steps = self.with_psks(steps)?;
                self.import(&steps, beside).await?;
                progress.advance_by(steps.len());
            }
            Form::Export(export) => {
                let mut waiting = steps.to_vec();
                while let Some(first) = waiting.first() {
                    let may = self.may(std::slice::from_ref(first));
                    let (steps, others): (Vec<Step>, Vec<Step>) = waiting
                        .into_iter()
                        .partition(|step| self.may(std::slice::from_ref(step)) == may);
                    waiting = others;
                    for steps in steps.chunks(export.batch) {
                        let steps = self.with_psks(steps)?;
                        self.import(&steps, beside).await?;
                        progress.advance_by(steps.len());
                    }
                }
            }
            Form::Objects(api) | Form::Aspect(api) | Form::Setting(api) => {
                for steps in steps.chunks(batch) {
                    self.write(kind, api, steps).await?;
                    progress.advance_by(steps.len());
                }
            }
        }
        self.learn(kind).await?;
        Ok(())
    }

    /// The steps with PSKs made up where hosts lack theirs: up to 5.2 an import takes no host without.
    fn with_psks(&mut self, steps: &[Step]) -> Result<Vec<Step>, super::Error> {
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

    /// Creates and updates the steps' objects, halving what is refused.
    async fn write(
        &mut self,
        kind: &'static Kind,
        api: &Api,
        steps: &[Step],
    ) -> Result<(), super::Error> {
        let mut objects: Vec<Value> = steps.iter().filter_map(Step::object).cloned().collect();
        names::look_up_names(self.client, &mut self.names, kind, &mut objects).await?;
        let (creates, updates): (Vec<Step>, Vec<Step>) = steps.iter().cloned().partition(|step| {
            matches!(step.change, Change::Create(_)) && matches!(kind.form, Form::Objects(_))
        });
        for (steps, create) in [(creates, true), (updates, false)] {
            let mut ready = Vec::new();
            let mut made_up = Vec::new();
            for step in steps {
                match self.outward(kind, api, &step, create, &mut made_up) {
                    Ok(object) => ready.push((step, object)),
                    Err(error) => self.fail(&step, error),
                }
            }
            if !made_up.is_empty() {
                (self.keep)(made_up)?;
            }
            let method = method(kind, api, if create { "create" } else { "update" });
            let done = self.send(&method, ready).await?;
            self.count(&done);
        }
        Ok(())
    }

    /// Calls the method with the objects, halving what is refused, and answers with the steps that are done.
    async fn send(&mut self, method: &str, ready: Vec<(Step, Value)>) -> Result<Vec<Step>, Error> {
        let mut done = Vec::new();
        let mut waiting = vec![ready];
        while let Some(ready) = waiting.pop() {
            let (steps, objects): (Vec<Step>, Vec<Value>) = ready.iter().cloned().unzip();
            let Some(first) = steps.first() else { continue };
            let params = match (&first.kind.form, objects.as_slice()) {
                (Form::Setting(_), [setting]) => setting.clone(),
                _ => json!(objects),
            };
            match self.client.call(&Request::new(method, params)).await {
                Ok(_) => done.extend(steps),
                Err(error) if !error.is_refusal() => return Err(error),
                Err(error) => match steps.as_slice() {
                    [step] => self.fail(step, error.to_string()),
                    _ => {
                        let (first, second) = ready.split_at(ready.len() / 2);
                        waiting.push(second.to_vec());
                        waiting.push(first.to_vec());
                    }
                },
            }
        }
        Ok(done)
    }

    /// The object as create or update takes it on this server.
    fn outward(
        &self,
        kind: &'static Kind,
        api: &Api,
        step: &Step,
        create: bool,
        made_up: &mut Vec<Missing>,
    ) -> Result<Value, String> {
        let mut object = step.object().cloned().unwrap_or_default();
        secrets::blank(&mut object);
        if let (true, Change::Update(_, differences), Some(fields)) =
            (api.changes_only, &step.change, object.as_object_mut())
        {
            fields.retain(|field, _| differences.iter().any(|other| other.is_in(field)));
        }
        let mut object = localise(kind, object, &self.names).map_err(|error| error.to_string())?;
        if let Some(outward) = api.outward {
            outward(&mut object, self.client.version());
        }
        for (field, secret) in made_up::secrets(kind, step, create, self.client.version()) {
            if let Some(known) = self.exported_with_host(step, field) {
                object[field] = known.clone();
                continue;
            }
            object[field] = json!(secret);
            made_up.push(Missing {
                kind: kind.name.to_owned(),
                name: step.name.clone(),
                field: field.to_owned(),
                state: State::Generated(secret),
            });
        }
        if !create && !matches!(kind.form, Form::Setting(_)) {
            let target = kind.target();
            match self.names.ids(target, &json!(step.name)) {
                [id] => object[target.id] = json!(id),
                [] => return Err(format!("the server has no {} of this name", target.name)),
                _ => {
                    return Err(format!(
                        "the server has several {}s of this name",
                        target.name
                    ));
                }
            }
            if let (Form::Aspect(_), Some(field)) =
                (&kind.form, target.name_field(self.client.version()))
                && let Some(fields) = object.as_object_mut()
            {
                fields.remove(field);
            }
        }
        Ok(object)
    }

    /// What a backup of 5.0 may hold of a host's PSK: it came with the host, where later versions do not take it from.
    fn exported_with_host(&self, step: &Step, field: &str) -> Option<&Value> {
        let hosts = kinds::by_name("host").and_then(|kind| self.documents.of_kind(kind));
        let host = hosts.filter(|_| step.kind.name == "host_encryption")?;
        host.get(&step.name)?.get(field)
    }

    async fn delete(&mut self, steps: &[Step], progress: &Progress) -> Result<(), super::Error> {
        let mut waiting: Vec<Vec<Step>> = steps
            .chunk_by(|a, b| a.part == b.part)
            .flat_map(|steps| steps.chunks(BATCH).map(<[Step]>::to_vec))
            .collect();
        waiting.reverse();
        while let Some(steps) = waiting.pop() {
            let Some(first) = steps.first() else { continue };
            let request = match first.part.beside {
                "" => Some(self.deletion(&steps, first.kind.target())),
                _ => self.deletion_beside(&steps).await?,
            };
            let Some(request) = request else {
                // It went with what it lay on.
                self.outcome.deleted += steps.len();
                progress.advance_by(steps.len());
                continue;
            };
            match self.client.call(&request).await {
                Ok(_) => {
                    self.outcome.deleted += steps.len();
                    progress.advance_by(steps.len());
                    self.learn(first.kind).await?;
                }
                Err(error) => self.refused(steps, error, &mut waiting)?,
            }
        }
        Ok(())
    }

    fn deletion(&self, steps: &[Step], target: &Target) -> Request {
        let ids: Vec<&String> = steps
            .iter()
            .flat_map(|step| self.names.ids(target, &json!(step.name)))
            .collect();
        let verb = match target.api {
            "usermacro" => "deleteglobal",
            _ => "delete",
        };
        Request::new(format!("{}.{verb}", target.api), json!(ids))
    }

    /// Triggers and graphs have no name that is theirs alone: they are looked up by all that tells them apart.
    async fn deletion_beside(&self, steps: &[Step]) -> Result<Option<Request>, Error> {
        let objects = steps
            .iter()
            .filter_map(|step| self.observed.objects(step.part)?.get(&step.name));
        let objects: Vec<&Value> = objects.collect();
        let names: Vec<&Value> = objects.iter().map(|object| &object["name"]).collect();
        let of_triggers = steps.iter().any(|step| step.part.beside == "triggers");
        let (target, params) = if of_triggers {
            let output = [
                "triggerid",
                "description",
                "expression",
                "recovery_expression",
            ];
            let filter = json!({"description": names});
            (
                &kinds::TRIGGER,
                json!({"output": output, "expandExpression": true, "filter": filter, "inherited": false}),
            )
        } else {
            let filter = json!({"name": names});
            (
                &kinds::GRAPH,
                json!({"output": ["graphid", "name"], "selectHosts": ["host"], "filter": filter, "inherited": false}),
            )
        };
        let is_it = |found: &Value, object: &Value| {
            if of_triggers {
                return text(found, "description") == text(object, "name")
                    && text(found, "expression") == text(object, "expression")
                    && text(found, "recovery_expression") == text(object, "recovery_expression");
            }
            let hosts: BTreeSet<&str> = import::list(found, "hosts")
                .iter()
                .map(|host| text(host, "host"))
                .collect();
            let lies_on = depend::lies_on(object, self.documents.version);
            text(found, "name") == text(object, "name")
                && hosts == lies_on.iter().map(String::as_str).collect()
        };
        let found = self
            .client
            .call(&Request::new(format!("{}.get", target.api), params))
            .await?;
        let found = found.as_array().into_iter().flatten();
        let found = found.filter(|found| objects.iter().any(|object| is_it(found, object)));
        let ids: Vec<&Value> = found.map(|found| &found[target.id]).collect();
        let request = Request::new(format!("{}.delete", target.api), json!(ids));
        Ok((!ids.is_empty()).then_some(request))
    }

    /// Reads the names of a kind anew, for what refers to its objects.
    async fn learn(&mut self, kind: &Kind) -> Result<(), Error> {
        let target = kind.target();
        if !target.is_listed_whole() {
            return Ok(());
        }
        let version = self.client.version();
        let mut changed = vec![target];
        if target.api == "drule" {
            changed.push(&kinds::DISCOVERY_CHECK);
        }
        for target in changed {
            let answer = self.client.call(&target.by_ids(version, None)).await?;
            self.names.learn(target, &answer, version);
        }
        Ok(())
    }

    fn refused(
        &mut self,
        steps: Vec<Step>,
        error: Error,
        waiting: &mut Vec<Vec<Step>>,
    ) -> Result<(), Error> {
        if !error.is_refusal() {
            return Err(error);
        }
        match steps.as_slice() {
            [step] => self.fail(step, error.to_string()),
            _ => {
                let (first, second) = steps.split_at(steps.len() / 2);
                waiting.push(second.to_vec());
                waiting.push(first.to_vec());
            }
        }
        Ok(())
    }

    fn count(&mut self, steps: &[Step]) {
        for step in steps {
            match step.change {
                Change::Create(_) => self.outcome.created += 1,
                Change::Update(..) => self.outcome.updated += 1,
                Change::Delete => self.outcome.deleted += 1,
            }
        }
    }

    fn fail(&mut self, step: &Step, error: String) {
        self.outcome.failed.push(Failed {
            kind: step.kind.name.to_owned(),
            name: step.name.clone(),
            error,
        });
    }
}

/// A field's text; empty where there is no such field.
fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn method(kind: &Kind, api: &Api, verb: &str) -> String {
    match kind.name {
        "macro" => format!("usermacro.{verb}global"),
        _ => format!("{}.{verb}", api.target.api),
    }
}
