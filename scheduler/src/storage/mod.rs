//! Backups in object storage: each in a folder of its own, with a manifest of checksums that is written last, so that half
//! an upload is never taken for a whole one.

mod bucket;
mod place;

use chrono::Utc;
use serde_json::{Value, json};
use thiserror::Error;

use crate::cli::{Storage, Upload};
use crate::config::{self, Files, Folder, config_dir};
use crate::environment::Environment;
use crate::report::Exit;
use place::Place;

/// Why a backup did not travel.
#[derive(Debug, Error)]
pub enum Error {
    /// The local folder, or its setting.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// No place was named.
    #[error("no place for the backup: give --storage-location, or set STORAGE_LOCATION")]
    NoLocation,
    /// The place is none that is known.
    #[error(
        "\"{0}\" is no place for a backup: give NAME or gs://NAME, az://CONTAINER, s3://BUCKET or file:///FOLDER"
    )]
    Location(String),
    /// The libraries take the bucket alone.
    #[error("\"{0}\" has a path behind the bucket: give it in --storage-folder or STORAGE_FOLDER")]
    LocationWithPath(String),
    /// What may be a credential is not used from there, and not repeated.
    #[error(
        "the place for the backup has a user, a password or a query in it: credentials belong into the environment (GCP_CREDENTIAL_FILE, AWS_..., AZURE_...)"
    )]
    LocationWithCredentials,
    /// Google Cloud Storage without a key would ask the machine's own account.
    #[error("set GCP_CREDENTIAL_FILE to the key file of a service account that may use the bucket")]
    NoCredentials,
    /// The storage refused, or could not be reached.
    #[error("cannot {what} {place}: {source}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// Where.
        place: String,
        /// The storage's own words.
        source: object_store::Error,
    },
    /// There is nothing to upload.
    #[error("{0} holds no backup: run backup_config first")]
    Empty(String),
    /// There is nothing to download.
    #[error("{0} holds no whole backup")]
    NoBackup(String),
    /// A file is not what was uploaded.
    #[error(
        "{file} of the backup {backup} is damaged: its checksum is not the manifest's; the local folder is unchanged"
    )]
    Damaged {
        /// The backup.
        backup: String,
        /// The file.
        file: String,
    },
    /// A manifest is no manifest.
    #[error("the manifest of the backup {0} cannot be read; the local folder is unchanged")]
    Manifest(String),
}

impl Error {
    /// Whether the command line or a setting is wrong, rather than the errand failed.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoLocation
            | Self::Location(_)
            | Self::LocationWithPath(_)
            | Self::LocationWithCredentials
            | Self::NoCredentials => true,
            Self::Config(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// Copies the backup in the local folder to the storage, and answers.
pub async fn upload(verb: &Upload, environment: &Environment) -> Result<Exit, Error> {
    let answer = copy(verb, environment).await?;
    if verb.storage.dir.json {
        println!("{answer}");
    }
    Ok(Exit::Done)
}

/// Copies the backup in the local folder to the storage.
pub async fn copy(verb: &Upload, environment: &Environment) -> Result<Value, Error> {
    let options = &verb.storage;
    let dir = config_dir(&options.dir, environment)?;
    let place = Place::new(options, environment)?;
    let folder = Folder::open(&dir).map_err(config::Error::from)?;
    let files = folder.read().map_err(config::Error::from)?;
    if files.is_empty() {
        return Err(Error::Empty(dir.display().to_string()));
    }
    let name = Utc::now().format("%Y-%m-%dT%H-%M-%S%.3fZ").to_string();
    let mut deleted = Vec::new();
    if !options.dry_run {
        place.put(&name, files.clone()).await?;
        if let Some(keep) = verb.keep {
            deleted = place.prune(keep).await?;
        }
    }
    let answer = answer(options, "uploaded", &place, &name, &files);
    for name in deleted {
        eprintln!("deleted {name}");
    }
    Ok(answer)
}

/// Copies the newest whole backup in the storage to the local folder.
pub async fn download(options: &Storage, environment: &Environment) -> Result<Exit, Error> {
    let dir = config_dir(&options.dir, environment)?;
    let place = Place::new(options, environment)?;
    let (whole, _) = place.backups().await?;
    let name = whole
        .last()
        .ok_or_else(|| Error::NoBackup(place.name.clone()))?;
    let files = place.get(name).await?;
    if !options.dry_run {
        let folder = Folder::create(&dir).map_err(config::Error::from)?;
        folder.replace(&files).map_err(config::Error::from)?;
    }
    let answer = answer(options, "downloaded", &place, name, &files);
    if options.dir.json {
        println!("{answer}");
    }
    Ok(Exit::Done)
}

fn answer(options: &Storage, verb: &str, place: &Place, name: &str, files: &Files) -> Value {
    let bytes: usize = files.values().map(Vec::len).sum();
    if !options.dir.json {
        println!("{name}");
    }
    let verb = if options.dry_run {
        "to be copied"
    } else {
        verb
    };
    eprintln!(
        "{verb}: {} files, {bytes} bytes, {}",
        files.len(),
        place.name
    );
    json!({"backup": name, "files": files.len(), "bytes": bytes, "location": place.name})
}
