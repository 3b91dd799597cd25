//! `restore_config`: observe, plan, and carry the plan out.

use std::path::Path;

use serde_json::{Value, json};

use super::converted::Converted;
use super::files::{from_files, pretty};
use super::folder::{CONVERTED, Folder, SECRETS};
use super::kind::{Form, Kind};
use super::kinds::{KINDS, by_name};
use super::observe::{Observation, observe};
use super::plan::{Change, Deletions, Desired, Plan, Step, plan};
use super::restore::{Outcome, Restore};
use super::secrets::{self, Missing};
use super::snapshot::Snapshot;
use super::upgrade::{NotCarried, directories, upgrade};
use super::{Error, config_dir, connect};
use crate::cli::RestoreConfig;
use crate::environment::Environment;
use crate::report::Exit;
use crate::zabbix::Client;

/// Brings the server to the configuration in the folder, and answers.
pub async fn restore(options: &RestoreConfig, environment: &Environment) -> Result<Exit, Error> {
    let (exit, answer) = carry(options, environment).await?;
    if options.dir.json {
        println!("{answer}");
    }
    Ok(exit)
}

/// Brings the server to the configuration in the folder.
pub async fn carry(
    options: &RestoreConfig,
    environment: &Environment,
) -> Result<(Exit, Value), Error> {
    let dir = config_dir(&options.dir, environment)?;
    let deletions = deletions(options, environment)?;
    // Read whole before the server is asked anything: half a backup changes nothing.
    let folder = Folder::open(&dir)?;
    let (backup, lost) = from_files(&folder.read()?)?;
    for sentence in &lost {
        eprintln!("warning: {sentence}");
    }
    let source = Source { folder, backup };
    let client = connect(environment).await?;
    let result = run(options, &deletions, &source, &client).await;
    client.logout().await;
    let (plan, outcome, not_carried) = result?;
    let answer = report(options, &plan, &outcome, &not_carried);
    let exit = if outcome.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    };
    Ok((exit, answer))
}

/// Where a restore comes from.
struct Source {
    folder: Folder,
    backup: Snapshot,
}

async fn run(
    options: &RestoreConfig,
    deletions: &Deletions,
    source: &Source,
    client: &Client,
) -> Result<(Plan, Outcome, Vec<NotCarried>), Error> {
    let server = client.version().branch();
    let backup = &source.backup;
    if backup.version > server {
        return Err(Error::Newer {
            backup: backup.version,
            server,
        });
    }
    let (mut desired, mut not_carried) = upgrade(backup, client.version());
    let wanted = |kind: &Kind| desired.snapshot.of_kind(kind).is_some();
    let mut converted = read_converted(source.folder.path());
    let observation = observe(client, &wanted).await?;
    let (observed, names) = (&observation.snapshot, &observation.names);
    not_carried.extend(directories(&mut desired, observed, names));
    let mut plan = plan(&desired, &observation.snapshot, deletions, &converted);
    let mut outcome = Outcome::default();
    if !options.dry_run && !options.diff {
        outcome = carry_out(
            options,
            &mut plan,
            &desired,
            observation,
            deletions,
            source,
            client,
        )
        .await?;
        if desired.is_older() {
            remember(&mut converted, &plan, &desired, &outcome, client).await?;
            source.folder.put(CONVERTED, &pretty(&json!(converted)))?;
        }
    }
    Ok((plan, outcome, not_carried))
}

async fn carry_out(
    options: &RestoreConfig,
    plan: &mut Plan,
    desired: &Desired,
    observation: Observation,
    deletions: &Deletions,
    source: &Source,
    client: &Client,
) -> Result<Outcome, Error> {
    // What a document of an older version becomes is not known before, nor then what an import would delete.
    let prune: &[&str] = if desired.is_older() {
        &[]
    } else {
        &deletions.prune
    };
    let mut restore = Restore {
        client,
        names: observation.names,
        observed: observation.snapshot,
        documents: &source.backup,
        prune,
        keep: &mut |secrets| keep(&source.folder, secrets),
        outcome: Outcome::default(),
    };
    if !plan.clear.is_empty() {
        // What goes with the templates is known only once they are gone.
        let clear = Plan {
            clear: std::mem::take(&mut plan.clear),
            ..Plan::default()
        };
        announce(options, &clear.clear);
        restore.carry_out(&clear).await?;
        let wanted = |kind: &Kind| desired.snapshot.of_kind(kind).is_some();
        let again = observe(client, &wanted).await?;
        restore.names = again.names;
        restore.observed = again.snapshot;
        let rest = Deletions {
            templates: false,
            prune: deletions.prune.clone(),
        };
        *plan = self::plan(desired, &restore.observed, &rest, &Converted::default());
    }
    announce(options, &plan.steps);
    announce(options, &plan.prune);
    restore.carry_out(plan).await?;
    Ok(restore.outcome)
}

/// Notes what exported objects of an older version have become.
async fn remember(
    converted: &mut Converted,
    plan: &Plan,
    desired: &Desired,
    outcome: &Outcome,
    client: &Client,
) -> Result<(), Error> {
    if plan.steps.is_empty() {
        return Ok(());
    }
    let exported = |kind: &Kind| {
        matches!(kind.form, Form::Export(_)) && desired.snapshot.of_kind(kind).is_some()
    };
    let after = observe(client, &exported).await?.snapshot;
    for kind in KINDS.iter().filter(|kind| exported(kind)) {
        for part in kind.parts() {
            for (name, object) in desired.snapshot.objects(part).into_iter().flatten() {
                let failed = |failed: &super::restore::Failed| {
                    failed.kind == kind.name && failed.name == *name
                };
                if !outcome.failed.iter().any(failed) {
                    converted.remember(part, name, object, &after);
                }
            }
        }
    }
    Ok(())
}

fn deletions(options: &RestoreConfig, environment: &Environment) -> Result<Deletions, Error> {
    let mut prune = Vec::new();
    for name in &options.prune {
        let kind = by_name(name)
            .filter(|kind| matches!(kind.form, Form::Export(_) | Form::Objects(_)))
            .ok_or_else(|| {
                let known = KINDS
                    .iter()
                    .filter(|kind| matches!(kind.form, Form::Export(_) | Form::Objects(_)));
                let known: Vec<&str> = known.map(|kind| kind.name).collect();
                Error::NoSuchKind(name.clone(), known.join(", "))
            })?;
        prune.push(kind.name);
    }
    Ok(Deletions {
        templates: options.force_templates || environment.is_on("ZBX_FORCE_TEMPLATES"),
        prune,
    })
}

/// Lists made-up secrets.
fn keep(folder: &Folder, made_up: Vec<Missing>) -> Result<(), Error> {
    let file = std::fs::read(folder.path().join(SECRETS)).unwrap_or_default();
    let listed = secrets::add(secrets::listed(&file), made_up);
    folder.put(SECRETS, &pretty(&json!(listed)))?;
    Ok(())
}

/// What was noted before; nothing, if it was never noted or cannot be read: the work is then done again.
fn read_converted(dir: &Path) -> Converted {
    let text = std::fs::read(dir.join(CONVERTED)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn report(
    options: &RestoreConfig,
    plan: &Plan,
    outcome: &Outcome,
    not_carried: &[NotCarried],
) -> Value {
    let planned = options.dry_run || options.diff;
    let count =
        |wanted: fn(&Change) -> bool| plan.all().filter(|step| wanted(&step.change)).count();
    let (create, update, delete) = if planned {
        (
            count(|change| matches!(change, Change::Create(_))),
            count(|change| matches!(change, Change::Update(..))),
            count(|change| matches!(change, Change::Delete)),
        )
    } else {
        (outcome.created, outcome.updated, outcome.deleted)
    };
    if planned && !options.dir.json {
        for line in plan.all().flat_map(|step| lines(step, options.diff)) {
            println!("{line}");
        }
    }
    for lost in not_carried {
        eprintln!(
            "not carried: {} \"{}\": {}",
            lost.kind, lost.name, lost.reason
        );
    }
    for failed in &outcome.failed {
        eprintln!(
            "failed: {} \"{}\": {}",
            failed.kind, failed.name, failed.error
        );
    }
    let verb = if planned { "to do" } else { "done" };
    eprintln!(
        "{verb}: {create} to create, {update} to update, {delete} to delete, {} unchanged, {} failed",
        plan.unchanged,
        outcome.failed.len()
    );
    json!({
        "create": create,
        "update": update,
        "delete": delete,
        "unchanged": plan.unchanged,
        "failed": outcome.failed,
        "not_carried": not_carried,
    })
}

/// Prints what goes before it goes: beside the answer, where that is one object.
fn announce(options: &RestoreConfig, steps: &[Step]) {
    for line in steps
        .iter()
        .filter(|step| removes(options, step))
        .flat_map(|step| lines(step, false))
    {
        if options.dir.json {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }
}

/// Whether something is deleted with the step: the object itself, or what it has beyond the backup.
fn removes(options: &RestoreConfig, step: &Step) -> bool {
    match &step.change {
        Change::Create(_) => false,
        Change::Delete => true,
        Change::Update(_, differences) => {
            options.prune.iter().any(|kind| kind == step.kind.name)
                && matches!(step.kind.form, Form::Export(_))
                && differences.iter().any(|difference| difference.to.is_null())
        }
    }
}

/// A step of the plan, field by field.
fn lines(step: &Step, whole: bool) -> Vec<String> {
    let what = match step.part.beside {
        "" => step.kind.name.to_owned(),
        beside => format!("{} ({beside})", step.kind.name),
    };
    let mut lines = Vec::new();
    match &step.change {
        Change::Create(object) => {
            lines.push(format!("+ {what} \"{}\"", step.name));
            if whole {
                let mut object = object.clone();
                super::secrets::leave_out(&mut object);
                let object = format!("{object:#}");
                lines.extend(object.lines().map(|line| format!("    {line}")));
            }
        }
        Change::Delete => lines.push(format!("- {what} \"{}\"", step.name)),
        Change::Update(_, differences) => {
            lines.push(format!("~ {what} \"{}\"", step.name));
            if differences.is_empty() {
                lines.push("    Zabbix converts it from an older version as it imports it".into());
            }
            lines.extend(differences.iter().map(|difference| {
                let (from, to) = (shown(&difference.from), shown(&difference.to));
                format!("    {}: {from} -> {to}", difference.field)
            }));
        }
    }
    lines
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    value.to_string()
}
