//! What is made by create and update calls of its own.

use serde_json::{Value, json};

use super::{Restore, halve};
use crate::config::kind::{Api, Form, Kind};
use crate::config::names;
use crate::config::normal::localise;
use crate::config::plan::{Change, Step};
use crate::config::secrets::{self, Missing, State};
use crate::config::{kinds, made_up};
use crate::zabbix::{Error, Request};

impl Restore<'_> {
    /// Creates and updates the steps' objects, halving what is refused.
    pub(super) async fn write(
        &mut self,
        kind: &'static Kind,
        api: &Api,
        steps: &[Step],
    ) -> Result<(), crate::config::Error> {
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
    pub(super) async fn send(
        &mut self,
        method: &str,
        ready: Vec<(Step, Value)>,
    ) -> Result<Vec<Step>, Error> {
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
                    _ => halve(ready, &mut waiting),
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
}

fn method(kind: &Kind, api: &Api, verb: &str) -> String {
    match kind.name {
        "macro" => format!("usermacro.{verb}global"),
        _ => format!("{}.{verb}", api.target.api),
    }
}
