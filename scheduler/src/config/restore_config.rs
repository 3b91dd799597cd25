//! `restore_config`: observe, plan, and carry the plan out.

use std::path::Path;

use serde_json::{Value, json};

use super::converted::Converted;
use super::files::{from_files, pretty};
use super::folder::{CONVERTED, Folder, SECRETS};
use super::kind::{Form, Kind};
use super::kinds::{KINDS, by_name};
use super::observe::{Observation, observe};
use super::plan::{Change, Deletions, Desired, Plan, plan};
use super::restore::{Outcome, Restore};
use super::secrets::Missing;
use super::snapshot::Snapshot;
use super::upgrade::{NotCarried, upgrade};
use super::{Error, config_dir, connect};
use crate::cli::RestoreConfig;
use crate::environment::Environment;
use crate::report::Exit;
use crate::zabbix::Client;

/// Brings the server to the configuration in the folder.
pub async fn restore(options: &RestoreConfig, environment: &Environment) -> Result<Exit, Error> {
    let dir = config_dir(&options.dir, environment)?;
    let deletions = deletions(options, environment)?;
    // Read whole before the server is asked anything: half a backup changes nothing.
    let folder = Folder::open(&dir)?;
    let (backup, lost) = from_files(&folder.read()?)?;
    for sentence in &lost {
        eprintln!("warning: {sentence}");
    }
    let client = connect(environment).await?;
    let result = run(options, &deletions, &folder, &backup, &client).await;
    client.logout().await;
    let (plan, outcome, not_carried) = result?;
    report(options, &plan, &outcome, &not_carried);
    Ok(if outcome.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn run(
    options: &RestoreConfig,
    deletions: &Deletions,
    folder: &Folder,
    backup: &Snapshot,
    client: &Client,
) -> Result<(Plan, Outcome, Vec<NotCarried>), Error> {
    let server = client.version().branch();
    if backup.version > server {
        return Err(Error::Newer {
            backup: backup.version,
            server,
        });
    }
    let (desired, not_carried) = upgrade(backup, server);
    let wanted = |kind: &Kind| desired.snapshot.of_kind(kind).is_some();
    let mut converted = read_converted(folder.path());
    let observation = observe(client, &wanted).await?;
    let mut plan = plan(&desired, &observation.snapshot, deletions, &converted);
    let mut outcome = Outcome::default();
    if !options.dry_run && !options.diff {
        outcome = carry_out(
            &mut plan,
            &desired,
            observation,
            deletions,
            folder,
            backup,
            client,
        )
        .await?;
        if desired.is_older() {
            remember(&mut converted, &plan, &desired, &outcome, client).await?;
            folder.put(CONVERTED, &pretty(&json!(converted)))?;
        }
    }
    Ok((plan, outcome, not_carried))
}

async fn carry_out(
    plan: &mut Plan,
    desired: &Desired,
    observation: Observation,
    deletions: &Deletions,
    folder: &Folder,
    backup: &Snapshot,
    client: &Client,
) -> Result<Outcome, Error> {
    let mut restore = Restore {
        client,
        names: observation.names,
        documents: backup,
        prune: &deletions.prune,
        keep: &mut |secrets| keep(folder, secrets),
        outcome: Outcome::default(),
    };
    if !plan.clear.is_empty() {
        // What goes with the templates is known only once they are gone.
        let clear = Plan {
            clear: std::mem::take(&mut plan.clear),
            ..Plan::default()
        };
        show(&clear, false);
        restore.carry_out(&clear).await?;
        let wanted = |kind: &Kind| desired.snapshot.of_kind(kind).is_some();
        let again = observe(client, &wanted).await?;
        restore.names = again.names;
        let rest = Deletions {
            templates: false,
            prune: deletions.prune.clone(),
        };
        *plan = self::plan(desired, &again.snapshot, &rest, &Converted::default());
    }
    if !plan.prune.is_empty() {
        show(
            &Plan {
                prune: plan.prune.clone(),
                ..Plan::default()
            },
            false,
        );
    }
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

/// Adds made-up secrets to the list of what the backup does not hold.
fn keep(folder: &Folder, secrets: Vec<Missing>) -> Result<(), Error> {
    let path = folder.path().join(SECRETS);
    let listed = std::fs::read(path).unwrap_or_default();
    let mut listed: Vec<Missing> = serde_json::from_slice(&listed).unwrap_or_default();
    let same =
        |a: &Missing, b: &Missing| (&a.kind, &a.name, &a.field) == (&b.kind, &b.name, &b.field);
    listed.retain(|old| !secrets.iter().any(|new| same(old, new)));
    listed.extend(secrets);
    listed.sort();
    folder.put(SECRETS, &pretty(&json!(listed)))?;
    Ok(())
}

/// What was noted before; nothing, if it was never noted or cannot be read: the work is then done again.
fn read_converted(dir: &Path) -> Converted {
    let text = std::fs::read(dir.join(CONVERTED)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn report(options: &RestoreConfig, plan: &Plan, outcome: &Outcome, not_carried: &[NotCarried]) {
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
    if options.dir.json {
        println!(
            "{}",
            json!({
                "create": create,
                "update": update,
                "delete": delete,
                "unchanged": plan.unchanged,
                "failed": outcome.failed,
                "not_carried": not_carried,
            })
        );
    } else if planned {
        show(plan, options.diff);
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
}

/// Prints the plan, object by object and field by field.
fn show(plan: &Plan, whole: bool) {
    for step in plan.all() {
        let what = match step.part.beside {
            "" => step.kind.name.to_owned(),
            beside => format!("{} ({beside})", step.kind.name),
        };
        match &step.change {
            Change::Create(object) => {
                println!("+ {what} \"{}\"", step.name);
                if whole {
                    for line in format!("{object:#}").lines() {
                        println!("    {line}");
                    }
                }
            }
            Change::Delete => println!("- {what} \"{}\"", step.name),
            Change::Update(_, differences) => {
                println!("~ {what} \"{}\"", step.name);
                if differences.is_empty() {
                    println!("    Zabbix converts it from an older version as it imports it");
                }
                for difference in differences {
                    println!(
                        "    {}: {} -> {}",
                        difference.field,
                        shown(&difference.from),
                        shown(&difference.to)
                    );
                }
            }
        }
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    let mut value = value.clone();
    super::secrets::leave_out(&mut value);
    value.to_string()
}
