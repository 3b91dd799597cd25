//! `job`: backup, restore, upload and delete, in that order, as far as each was asked for.

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::cli::{BackupConfig, Job, RestoreConfig};
use crate::config::{self, config_dir};
use crate::environment::Environment;
use crate::report::Exit;
use crate::storage;

/// Why a job ended early. Nothing that comes after it was begun: what was not backed up or uploaded is not deleted.
#[derive(Debug, Error)]
pub enum Error {
    /// Backup, restore or deletion.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Upload.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// Nothing was asked for.
    #[error("nothing to do: give -b, -r, -u or -d")]
    Nothing,
}

impl Error {
    /// Whether the command line or a setting is wrong, rather than the errand failed.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(error) => error.is_usage(),
            Self::Storage(error) => error.is_usage(),
            Self::Nothing => true,
        }
    }
}

/// Does what was asked for. With --json, one object answers for all of it, however far it went.
pub async fn job(job: &Job, environment: &Environment) -> Result<Exit, Error> {
    let mut answers = Map::new();
    let result = run(job, environment, &mut answers).await;
    if job.copy.storage.dir.json && !answers.is_empty() {
        println!("{}", Value::Object(answers));
    }
    result
}

async fn run(
    job: &Job,
    environment: &Environment,
    answers: &mut Map<String, Value>,
) -> Result<Exit, Error> {
    if !(job.backup || job.restore || job.upload || job.delete) {
        return Err(Error::Nothing);
    }
    let dir = &job.copy.storage.dir;
    let dry_run = job.copy.storage.dry_run;
    if job.backup {
        let options = BackupConfig {
            dir: dir.clone(),
            dry_run,
            ..BackupConfig::default()
        };
        let answer = config::write(&options, environment).await?;
        answers.insert("backup".into(), answer);
    }
    if job.restore {
        let options = RestoreConfig {
            dir: dir.clone(),
            dry_run,
            ..RestoreConfig::default()
        };
        let (exit, answer) = config::carry(&options, environment).await?;
        answers.insert("restore".into(), answer);
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    if job.upload {
        let answer = storage::copy(&job.copy, environment).await?;
        answers.insert("upload".into(), answer);
    }
    if job.delete && !dry_run {
        let dir = config_dir(dir, environment)?;
        config::delete(&dir)?;
        answers.insert("delete".into(), json!(dir));
    }
    Ok(Exit::Done)
}
