//! Backups in object storage: each in a folder of its own, with a manifest of checksums that is written last, so that half
//! an upload is never taken for a whole one.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::cli::{Storage, Upload};
use crate::config::{self, Files, Folder, config_dir, sha256};
use crate::environment::Environment;
use crate::report::Exit;

/// The list of a backup's files, written after all of them.
const MANIFEST: &str = "manifest.json";
/// How many files travel at once.
const PARALLEL: usize = 4;
/// How long a request is tried again before it counts as failed.
const RETRY: Duration = Duration::from_secs(30);

/// Settings that the libraries of the three clouds know, by the names that their own tools use.
const SETTINGS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_ALLOW_HTTP",
];

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
            | Self::NoCredentials => true,
            Self::Config(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// What was uploaded, by path in the backup.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    size: u64,
    sha256: String,
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

/// A folder in a bucket.
struct Place {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    name: String,
}

impl Place {
    fn new(options: &Storage, environment: &Environment) -> Result<Self, Error> {
        let setting = |flag: &Option<String>, name| {
            flag.clone()
                .or_else(|| environment.get(name).map(str::to_owned))
        };
        let location =
            setting(&options.storage_location, "STORAGE_LOCATION").ok_or(Error::NoLocation)?;
        let folder = setting(&options.storage_folder, "STORAGE_FOLDER").unwrap_or_default();
        let text = if location.contains("://") {
            location.clone()
        } else {
            format!("gs://{location}")
        };
        let url = Url::parse(&text).map_err(|_| Error::Location(location.clone()))?;
        if url.scheme() != "file" && !matches!(url.path(), "" | "/") {
            return Err(Error::LocationWithPath(location));
        }
        Ok(Self {
            store: store(&url, environment, &location)?,
            folder: Path::from(folder),
            name: text,
        })
    }

    /// Writes a backup's files, and its manifest once they are all there.
    async fn put(&self, name: &str, files: Files) -> Result<(), Error> {
        let entries = files.iter().map(|(file, content)| {
            let entry = Entry {
                size: content.len() as u64,
                sha256: sha256(content),
            };
            (file.clone(), entry)
        });
        let manifest = Manifest {
            files: entries.collect(),
        };
        stream::iter(files.into_iter().map(Ok))
            .try_for_each_concurrent(PARALLEL, async |(file, content)| {
                self.write(&self.file(name, &file), content).await
            })
            .await?;
        let manifest = format!("{:#}\n", json!(manifest));
        self.write(&self.file(name, MANIFEST), manifest.into_bytes())
            .await
    }

    /// Reads a backup whole, and compares every file with the manifest.
    async fn get(&self, name: &str) -> Result<Files, Error> {
        let manifest = self.read(&self.file(name, MANIFEST)).await?;
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|_| Error::Manifest(name.to_owned()))?;
        let is_plain = |file: &String| {
            let mut parts = file.split('/');
            parts.all(|part| !part.is_empty() && part != ".." && part != ".")
        };
        if !manifest.files.keys().all(is_plain) {
            return Err(Error::Manifest(name.to_owned()));
        }
        let read = async |(file, entry): (String, Entry)| {
            let content = self.read(&self.file(name, &file)).await?;
            if content.len() as u64 == entry.size && sha256(&content) == entry.sha256 {
                Ok((file, content))
            } else {
                Err(Error::Damaged {
                    backup: name.to_owned(),
                    file,
                })
            }
        };
        stream::iter(manifest.files)
            .map(read)
            .buffered(PARALLEL)
            .try_collect()
            .await
    }

    /// The names of the whole backups and of the others, each the oldest first.
    async fn backups(&self) -> Result<(Vec<String>, Vec<String>), Error> {
        let listed = self.store.list_with_delimiter(Some(&self.folder)).await;
        let listed = listed.map_err(self.failed("list", &self.folder))?;
        // Other folders are not ours, whatever lies in them.
        let mut names: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|prefix| Some(prefix.parts().next_back()?.as_ref().to_owned()))
            .filter(|name| is_stamp(name))
            .collect();
        names.sort();
        let (mut whole, mut half) = (Vec::new(), Vec::new());
        for name in names {
            let manifest = self.file(&name, MANIFEST);
            match self.store.head(&manifest).await {
                Ok(_) => whole.push(name),
                Err(object_store::Error::NotFound { .. }) => half.push(name),
                Err(source) => return Err(self.failed("look for", &manifest)(source)),
            }
        }
        Ok((whole, half))
    }

    /// Deletes all but the newest whole backups, and what is left of uploads that were cut off before them.
    async fn prune(&self, keep: u32) -> Result<Vec<String>, Error> {
        let (mut whole, mut half) = self.backups().await?;
        let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
        let newest = whole.last().cloned().unwrap_or_default();
        whole.truncate(whole.len().saturating_sub(keep));
        half.retain(|name| *name < newest);
        for name in &whole {
            // Without its manifest it is no backup any more, wherever the rest of the deletion ends.
            self.remove(&self.file(name, MANIFEST)).await?;
        }
        whole.append(&mut half);
        for name in &whole {
            let prefix = self.folder.clone().join(name.as_str());
            let files: Vec<_> = self
                .store
                .list(Some(&prefix))
                .try_collect()
                .await
                .map_err(self.failed("list", &prefix))?;
            for file in files {
                self.remove(&file.location).await?;
            }
        }
        Ok(whole)
    }

    fn file(&self, name: &str, file: &str) -> Path {
        file.split('/')
            .fold(self.folder.clone().join(name), |path, part| path.join(part))
    }

    async fn write(&self, path: &Path, content: Vec<u8>) -> Result<(), Error> {
        let put = self.store.put(path, content.into()).await;
        put.map_err(self.failed("write", path))?;
        Ok(())
    }

    async fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let get = async { self.store.get(path).await?.bytes().await };
        let content = get.await.map_err(self.failed("read", path))?;
        Ok(content.to_vec())
    }

    async fn remove(&self, path: &Path) -> Result<(), Error> {
        let delete = self.store.delete(path).await;
        delete.map_err(self.failed("delete", path))
    }

    fn failed(&self, what: &'static str, path: &Path) -> impl Fn(object_store::Error) -> Error {
        let place = format!("{}/{path}", self.name.trim_end_matches('/'));
        move |source| Error::Store {
            what,
            place: place.clone(),
            source,
        }
    }
}

/// The storage behind a URL.
fn store(
    url: &Url,
    environment: &Environment,
    location: &str,
) -> Result<Arc<dyn ObjectStore>, Error> {
    // Fails only where another provider was installed before, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wrong = |source| Error::Store {
        what: "use",
        place: location.to_owned(),
        source,
    };
    let retry = RetryConfig {
        max_retries: 5,
        retry_timeout: RETRY,
        ..RetryConfig::default()
    };
    let settings = SETTINGS
        .iter()
        .filter_map(|name| Some((name.to_ascii_lowercase(), environment.get(name)?)));
    match url.scheme() {
        "gs" => {
            let key = environment
                .get("GCP_CREDENTIAL_FILE")
                .ok_or(Error::NoCredentials)?;
            let builder = GoogleCloudStorageBuilder::new()
                .with_url(url.as_str())
                .with_service_account_path(key)
                .with_client_options(client(environment))
                .with_retry(retry);
            Ok(Arc::new(builder.build().map_err(wrong)?))
        }
        "s3" => {
            let mut builder = AmazonS3Builder::new()
                .with_url(url.as_str())
                .with_retry(retry);
            for (name, value) in settings {
                if let Ok(key) = AmazonS3ConfigKey::from_str(&name) {
                    builder = builder.with_config(key, value);
                }
            }
            Ok(Arc::new(builder.build().map_err(wrong)?))
        }
        "az" => {
            let mut builder = MicrosoftAzureBuilder::new()
                .with_url(url.as_str())
                .with_retry(retry);
            for (name, value) in settings {
                if let Ok(key) = AzureConfigKey::from_str(&name) {
                    builder = builder.with_config(key, value);
                }
            }
            Ok(Arc::new(builder.build().map_err(wrong)?))
        }
        "file" => {
            let folder = url
                .to_file_path()
                .map_err(|()| Error::Location(location.to_owned()))?;
            // What is written there shall be readable to nobody else, as in the local folder.
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
            let store = LocalFileSystem::new_with_prefix(folder)
                .map_err(wrong)?
                .with_automatic_cleanup(true);
            Ok(Arc::new(store))
        }
        _ => Err(Error::Location(location.to_owned())),
    }
}

/// A key file may name another address (gcs_base_url), for a storage of one's own.
fn client(environment: &Environment) -> object_store::ClientOptions {
    object_store::ClientOptions::new().with_allow_http(environment.is_on("GOOGLE_ALLOW_HTTP"))
}

/// Whether a folder's name is one that an upload makes.
fn is_stamp(name: &str) -> bool {
    chrono::NaiveDateTime::parse_from_str(name, "%Y-%m-%dT%H-%M-%S%.3fZ").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &std::path::Path) -> Place {
        let options = Storage {
            storage_location: Some(format!("file://{}", folder.display())),
            storage_folder: Some("zabbix/one".to_owned()),
            ..Storage::default()
        };
        Place::new(&options, &Environment::default()).unwrap()
    }

    fn files() -> Files {
        Files::from([
            ("hosts.json".to_owned(), b"[]".to_vec()),
            ("templates/Linux by agent.json".to_owned(), b"{}".to_vec()),
        ])
    }

    #[tokio::test]
    async fn what_was_put_is_got_with_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        place
            .put("2026-01-01T00-00-00.000Z", files())
            .await
            .unwrap();
        assert_eq!(
            place.get("2026-01-01T00-00-00.000Z").await.unwrap(),
            files()
        );
    }

    #[tokio::test]
    async fn half_an_upload_is_no_backup_and_a_changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        place
            .put("2026-01-01T00-00-00.000Z", files())
            .await
            .unwrap();
        place
            .put("2026-01-02T00-00-00.000Z", files())
            .await
            .unwrap();
        place
            .remove(&place.file("2026-01-02T00-00-00.000Z", MANIFEST))
            .await
            .unwrap();
        let (whole, half) = place.backups().await.unwrap();
        assert_eq!(whole, ["2026-01-01T00-00-00.000Z"]);
        assert_eq!(half, ["2026-01-02T00-00-00.000Z"]);
        let file = place.file("2026-01-01T00-00-00.000Z", "hosts.json");
        place.write(&file, b"{}".to_vec()).await.unwrap();
        let error = place.get("2026-01-01T00-00-00.000Z").await.unwrap_err();
        assert!(matches!(error, Error::Damaged { file, .. } if file == "hosts.json"));
    }

    #[tokio::test]
    async fn only_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        for day in 1..=4 {
            place
                .put(&format!("2026-01-0{day}T00-00-00.000Z"), files())
                .await
                .unwrap();
        }
        place
            .remove(&place.file("2026-01-02T00-00-00.000Z", MANIFEST))
            .await
            .unwrap();
        place.prune(2).await.unwrap();
        let (whole, half) = place.backups().await.unwrap();
        assert_eq!(
            whole,
            ["2026-01-03T00-00-00.000Z", "2026-01-04T00-00-00.000Z"]
        );
        assert!(half.is_empty(), "{half:?}");
    }

    #[tokio::test]
    async fn another_folder_with_a_manifest_is_no_backup() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let backup = "2026-01-01T00-00-00.000Z";
        for name in ["1999", backup, "webapp"] {
            place.put(name, files()).await.unwrap();
        }
        assert!(place.prune(1).await.unwrap().is_empty());
        let (whole, half) = place.backups().await.unwrap();
        assert_eq!((whole, half), (vec![backup.to_owned()], Vec::new()));
        assert_eq!(place.get("webapp").await.unwrap(), files());
    }

    #[test]
    fn a_bare_name_is_a_bucket_of_google_and_needs_a_key() {
        let options = Storage {
            storage_location: Some("bucket".to_owned()),
            ..Storage::default()
        };
        let error = Place::new(&options, &Environment::default()).err();
        assert!(matches!(error, Some(Error::NoCredentials)), "{error:?}");
        let options = Storage {
            storage_location: Some("ftp://bucket".to_owned()),
            ..Storage::default()
        };
        let error = Place::new(&options, &Environment::default()).err();
        assert!(matches!(error, Some(Error::Location(_))), "{error:?}");
    }

    #[test]
    fn a_path_behind_the_bucket_is_refused() {
        for location in ["bucket/a", "gs://bucket/a", "s3://bucket/a/", "az://box/a"] {
            let options = Storage {
                storage_location: Some(location.to_owned()),
                ..Storage::default()
            };
            let error = Place::new(&options, &Environment::default()).err().unwrap();
            assert!(error.is_usage(), "{error:?}");
            assert!(error.to_string().contains("STORAGE_FOLDER"), "{error}");
        }
    }
}
