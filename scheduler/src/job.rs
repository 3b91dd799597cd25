//! `job`: backup, restore, upload and delete, in that order, as far as each was asked for.

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
}

impl Error {
    /// Whether the command line or a setting is wrong, rather than the errand failed.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(error) => error.is_usage(),
            Self::Storage(error) => error.is_usage(),
        }
    }
}

/// Does what was asked for.
pub async fn job(job: &Job, environment: &Environment) -> Result<Exit, Error> {
    let dir = &job.storage.dir;
    if job.backup {
        let options = BackupConfig {
            dir: dir.clone(),
            dry_run: job.storage.dry_run,
            ..BackupConfig::default()
        };
        config::backup(&options, environment).await?;
    }
    if job.restore {
        let options = RestoreConfig {
            dir: dir.clone(),
            dry_run: job.storage.dry_run,
            ..RestoreConfig::default()
        };
        let exit = config::restore(&options, environment).await?;
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    if job.upload {
        storage::upload(&job.storage, environment).await?;
    }
    if job.delete && !job.storage.dry_run {
        config::delete(&config_dir(dir, environment)?)?;
    }
    Ok(Exit::Done)
}
