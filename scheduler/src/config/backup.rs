//! `backup_config`: everything that a server holds, written to a folder.

use serde_json::{Value, json};

use super::files::to_files;
use super::folder::{Files, Folder};
use super::observe::observe;
use super::secrets::{self, Missing, State};
use super::snapshot::Snapshot;
use super::{Error, config_dir, connect};
use crate::cli::BackupConfig;
use crate::environment::Environment;
use crate::report::Exit;
use crate::zabbix::dialect;

/// Writes the configuration of the server to the folder, and answers.
pub async fn backup(options: &BackupConfig, environment: &Environment) -> Result<Exit, Error> {
    let answer = write(options, environment).await?;
    if options.dir.json {
        println!("{answer}");
    }
    Ok(Exit::Done)
}

/// Writes the configuration of the server to the folder.
pub async fn write(options: &BackupConfig, environment: &Environment) -> Result<Value, Error> {
    let dir = config_dir(&options.dir, environment)?;
    let client = connect(environment).await?;
    let observation = observe(&client, &|_| true).await;
    client.logout().await;
    let observation = observation?;
    for sentence in &observation.dangling {
        eprintln!("warning: {sentence}");
    }
    let mut snapshot = observation.snapshot;
    let missing = leave_out_secrets(&mut snapshot, options.with_secrets);
    let files = to_files(&snapshot, &missing, options.split);
    let changed = if options.dry_run {
        changes(&files, &read_if_there(&dir)?)
    } else {
        let folder = Folder::create(&dir)?;
        let changed = changes(&files, &folder.read()?);
        folder.replace(&files)?;
        changed
    };
    if !options.dir.json {
        for file in &changed {
            println!("{file}");
        }
    }
    eprintln!(
        "{} objects of Zabbix {} in {} files, {} of them changed; {} secrets are not in the backup",
        snapshot.len(),
        snapshot.version,
        files.len(),
        changed.len(),
        missing.len()
    );
    Ok(json!({
        "zabbix": snapshot.version.to_string(),
        "objects": snapshot.len(),
        "files": files.len(),
        "changed": changed,
        "secrets_missing": missing.len(),
    }))
}

/// Takes the secrets out, unless they shall stay, and lists what the backup will not hold.
fn leave_out_secrets(snapshot: &mut Snapshot, with_secrets: bool) -> Vec<Missing> {
    let mut missing = Vec::new();
    for (part, objects) in &mut snapshot.parts {
        for (name, object) in objects {
            let mut list = |fields: Vec<String>, state: State| {
                missing.extend(fields.into_iter().map(|field| Missing {
                    kind: part.kind.to_owned(),
                    name: name.clone(),
                    field,
                    state: state.clone(),
                }));
            };
            // Where hosts are exported with their PSKs, it is told there whether they are left out.
            if part.kind != "host_encryption" || !dialect::exports_psk(snapshot.version) {
                list(secrets::unreadable(part.kind, object), State::Unreadable);
            }
            if !with_secrets {
                list(secrets::leave_out(object), State::LeftOut);
            }
        }
    }
    missing.sort();
    missing
}

/// The files that are new, different or gone.
fn changes(new: &Files, old: &Files) -> Vec<String> {
    let differs = new
        .iter()
        .filter(|(name, content)| old.get(*name) != Some(content));
    let gone = old
        .keys()
        .filter(|name| !new.contains_key(*name) && !super::legacy::MAPS.contains(&name.as_str()));
    let mut names: Vec<String> = differs.map(|(name, _)| name).chain(gone).cloned().collect();
    names.sort();
    names
}

fn read_if_there(dir: &std::path::Path) -> Result<Files, Error> {
    if dir.exists() {
        Ok(Folder::open(dir)?.read()?)
    } else {
        Ok(Files::new())
    }
}
