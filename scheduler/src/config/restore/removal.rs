//! What is deleted.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{BATCH, Restore};
use crate::config::plan::Step;
use crate::config::target::Target;
use crate::config::{depend, import, kinds};
use crate::progress::Progress;
use crate::zabbix::{Error, Request};

impl Restore<'_> {
    /// Deletes the steps' objects, halving what is refused.
    pub(super) async fn delete(
        &mut self,
        steps: &[Step],
        progress: &Progress,
    ) -> Result<(), crate::config::Error> {
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
}

/// A field's text; empty where there is no such field.
fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
