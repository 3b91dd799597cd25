//! A folder in a bucket, with a folder for each backup.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Error, bucket};
use crate::cli::Storage;
use crate::config::{Files, sha256};
use crate::environment::Environment;
use crate::progress::Progress;

/// The list of a backup's files, written after all of them.
const MANIFEST: &str = "manifest.json";
/// How many files travel at once.
const PARALLEL: usize = 4;

/// A folder in a bucket.
pub struct Place {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    /// The location, as the user may give it.
    pub name: String,
}

impl Place {
    /// The place that the flags name, else the environment.
    pub fn new(options: &Storage, environment: &Environment) -> Result<Self, Error> {
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
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(Error::LocationWithCredentials);
        }
        if url.scheme() != "file" && !matches!(url.path(), "" | "/") {
            return Err(Error::LocationWithPath(location));
        }
        Ok(Self {
            store: bucket::open(&url, environment, &location)?,
            folder: Path::from(folder),
            name: text,
        })
    }

    /// Writes a backup's files, and its manifest once they are all there.
    pub async fn put(&self, name: &str, files: Files) -> Result<(), Error> {
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
        let progress = Progress::new("uploading", files.len());
        stream::iter(files.into_iter().map(Ok::<_, Error>))
            .try_for_each_concurrent(PARALLEL, async |(file, content)| {
                self.write(&self.file(name, &file), content).await?;
                progress.advance();
                Ok(())
            })
            .await?;
        progress.finish();
        let manifest = format!("{:#}\n", json!(manifest));
        self.write(&self.file(name, MANIFEST), manifest.into_bytes())
            .await
    }

    /// Reads a backup whole, and compares every file with the manifest.
    pub async fn get(&self, name: &str) -> Result<Files, Error> {
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
        let progress = Progress::new("downloading", manifest.files.len());
        let read = async |(file, entry): (String, Entry)| {
            let content = self.read(&self.file(name, &file)).await?;
            progress.advance();
            if content.len() as u64 == entry.size && sha256(&content) == entry.sha256 {
                Ok((file, content))
            } else {
                Err(Error::Damaged {
                    backup: name.to_owned(),
                    file,
                })
            }
        };
        let files = stream::iter(manifest.files)
            .map(read)
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        progress.finish();
        Ok(files)
    }

    /// The names of the whole backups and of the others, each the oldest first.
    pub async fn backups(&self) -> Result<(Vec<String>, Vec<String>), Error> {
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
    pub async fn prune(&self, keep: u32) -> Result<Vec<String>, Error> {
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
    fn credentials_in_the_location_are_refused_and_not_repeated() {
        for location in ["s3://key:secret@bucket", "az://container?sig=secret"] {
            let options = Storage {
                storage_location: Some(location.to_owned()),
                ..Storage::default()
            };
            let error = Place::new(&options, &Environment::default()).err().unwrap();
            assert!(error.is_usage(), "{error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
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
