//! Carrying out a plan: layer by layer, in batches; a batch that is refused is halved until the object is found that Zabbix
//! will not take.

mod by_call;
mod by_import;
mod removal;

use serde::Serialize;

use super::kind::{Form, Kind};
use super::kinds;
use super::names::Names;
use super::plan::{Change, Plan, Step, layers};
use super::secrets::Missing;
use super::snapshot::Snapshot;
use crate::progress::Progress;
use crate::zabbix::{Client, Error};

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
            self.make_layer(&layer, beside, progress).await?;
        }
        let Some(first) = knot.first() else {
            return Ok(());
        };
        if let Form::Export(_) = first.kind.form {
            // Two templates may depend on each other's triggers: one document takes both.
            self.import_at_once(&knot, beside, progress).await?;
            return Ok(self.learn(first.kind).await?);
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
        progress: &Progress,
    ) -> Result<(), super::Error> {
        let Some(first) = steps.first() else {
            return Ok(());
        };
        let kind = first.kind;
        match &kind.form {
            Form::Export(export) => {
                self.import_in_batches(steps, export, beside, progress)
                    .await?
            }
            Form::Objects(api) | Form::Aspect(api) | Form::Setting(api) => {
                for steps in steps.chunks(BATCH) {
                    self.write(kind, api, steps).await?;
                    progress.advance_by(steps.len());
                }
            }
        }
        self.learn(kind).await?;
        Ok(())
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
            _ => halve(steps, waiting),
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

/// Puts both halves of what was refused where the next is taken from, the first half on top.
fn halve<T>(mut refused: Vec<T>, waiting: &mut Vec<Vec<T>>) {
    let second = refused.split_off(refused.len() / 2);
    waiting.push(second);
    waiting.push(refused);
}
