//! The folder of a backup: which files there are, how they are read, and how a new set takes the old one's place.
//!
//! A new backup is written whole beside the old one, and only then put in place, file by file. A run that ends in between
//! is completed by the next one that opens the folder, so that readers see the old backup or the new one, never a mixture.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};
use serde_json::json;
use thiserror::Error;

use super::files::pretty;
use super::kind::Kind;
use super::kinds::KINDS;
use super::legacy;
use super::secrets::{self, Missing};
use super::snapshot::Part;

/// Files by their path in the folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The file that lists the secrets which the backup does not hold. Those that restores made up are in it, too, and are no
/// part of a backup: they stay in the folder, whatever becomes of the rest.
pub const SECRETS: &str = "secrets-missing.json";
/// The file that tells which version of Zabbix the backup is of.
pub const ABOUT: &str = "backup.json";
/// The file that remembers what a restore into a newer Zabbix turned into.
pub const CONVERTED: &str = "converted.json";

/// A new set of files that is not whole yet.
const STAGING: &str = ".backup-new";
/// A new set of files that is whole, and on its way into place.
const COMPLETE: &str = ".backup-complete";
/// The names of the files of a new set.
const CONTENTS: &str = ".contents";
/// The largest file that is read.
const MAX_FILE: u64 = 1 << 30;

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another run works on it.
    #[error("{} is in use by another backup or restore; wait for it to end", .0.display())]
    InUse(PathBuf),
    /// A file is larger than any backup's.
    #[error("{} is too large for a backup's file", .0.display())]
    TooLarge(PathBuf),
}

/// A folder, held against other runs for as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens a folder that must exist.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let lock = File::open(path).map_err(failed("open the backup's folder", path))?;
        match FileExt::try_lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed("lock", path)(source)),
        }
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        folder.complete()?;
        Ok(folder)
    }

    /// Opens a folder, or makes it.
    pub fn create(path: &Path) -> Result<Self, Error> {
        make_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(failed("set the permissions of", path))?;
        Self::open(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the backup's own files.
    pub fn read(&self) -> Result<Files, Error> {
        let mut files = Files::new();
        let maps = legacy::MAPS.map(str::to_owned);
        for name in self.own_files()?.into_iter().chain(maps) {
            let path = self.path.join(&name);
            if path.is_file() {
                files.insert(name, read(&path)?);
            }
        }
        if let Some(file) = files.get_mut(SECRETS) {
            let (made_up, listed) = secrets::made_up(secrets::listed(file));
            if !made_up.is_empty() {
                *file = pretty(&json!(listed));
            }
        }
        Ok(files)
    }

    /// What restores made up.
    fn made_up(&self) -> Result<Vec<Missing>, Error> {
        let path = self.path.join(SECRETS);
        if !path.exists() {
            return Ok(Vec::new());
        }
        Ok(secrets::made_up(secrets::listed(&read(&path)?)).0)
    }

    /// Puts a whole new set of files in the place of the old one.
    pub fn replace(&self, files: &Files) -> Result<(), Error> {
        let mut files = files.clone();
        let made_up = self.made_up()?;
        if !made_up.is_empty() {
            let file = files.entry(SECRETS.to_owned()).or_default();
            *file = pretty(&json!(secrets::add(secrets::listed(file), made_up)));
        }
        let staging = self.path.join(STAGING);
        remove_dir(&staging)?;
        make_dir(&staging)?;
        for (name, content) in &files {
            let path = staging.join(name);
            if let Some(parent) = path.parent() {
                make_dir(parent)?;
            }
            write(&path, content)?;
        }
        let contents: Vec<&str> = files.keys().map(String::as_str).collect();
        write(&staging.join(CONTENTS), contents.join("\n").as_bytes())?;
        sync(&staging)?;
        rename(&staging, &self.path.join(COMPLETE))?;
        sync(&self.path)?;
        self.complete()
    }

    /// Writes one file in the place of the old one.
    pub fn put(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let new = self.path.join(format!(".{name}.new"));
        write(&new, content)?;
        rename(&new, &self.path.join(name))
    }

    /// Removes the backup's own files, and the folder if nothing else is in it.
    pub fn delete(self) -> Result<(), Error> {
        let made_up = self.made_up()?;
        for name in self.own_files()? {
            if name == SECRETS && !made_up.is_empty() {
                self.put(SECRETS, &pretty(&json!(made_up)))?;
            } else {
                remove_file(&self.path.join(name))?;
            }
        }
        for name in own_folders() {
            remove_empty_dir(&self.path.join(name))?;
        }
        remove_empty_dir(&self.path)
    }

    /// Brings a whole new set of files into place, also where an earlier run began it.
    fn complete(&self) -> Result<(), Error> {
        let complete = self.path.join(COMPLETE);
        let list = complete.join(CONTENTS);
        if !list.exists() {
            return remove_dir(&complete);
        }
        let list = read(&list)?;
        let list = String::from_utf8_lossy(&list);
        let new: Vec<&str> = list.lines().collect();
        for name in self.own_files()? {
            if !new.contains(&name.as_str()) {
                remove_file(&self.path.join(name))?;
            }
        }
        for name in new {
            // What has arrived already is no longer among the new files.
            let (arriving, path) = (complete.join(name), self.path.join(name));
            if arriving.exists() {
                if let Some(parent) = path.parent() {
                    make_dir(parent)?;
                }
                rename(&arriving, &path)?;
            }
        }
        for name in own_folders() {
            let folder = self.path.join(name);
            remove_empty_dir(&folder)?;
            if folder.exists() {
                sync(&folder)?;
            }
        }
        sync(&self.path)?;
        remove_dir(&complete)
    }

    /// The names of the files that are a backup's, as far as they may be there. What else lies in the folders of split files
    /// belongs to somebody else.
    fn own_files(&self) -> Result<Vec<String>, Error> {
        let mut names = [SECRETS, ABOUT, CONVERTED].map(str::to_owned).to_vec();
        names.extend(KINDS.iter().map(|kind| format!("{}.json", kind.file)));
        for name in own_folders() {
            let folder = self.path.join(&name);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(failed("read", &folder)(source)),
            };
            for entry in entries {
                let path = entry.map_err(failed("read", &folder))?.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "json")
                    && let Some(file) = path.file_name().and_then(OsStr::to_str)
                    && path.is_file()
                {
                    names.push(format!("{name}/{file}"));
                }
            }
        }
        Ok(names)
    }
}

/// The folders that split files lie in, what lies inside another before that one.
fn own_folders() -> impl Iterator<Item = String> {
    KINDS.iter().flat_map(|kind| {
        let mut parts = kind.parts();
        parts.reverse();
        parts.into_iter().map(|part| part_folder(kind, part))
    })
}

/// The folder of a part's split files.
pub fn part_folder(kind: &Kind, part: Part) -> String {
    match part.beside {
        "" => kind.file.to_owned(),
        beside => format!("{}/{beside}", kind.file),
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        what,
        path: path.clone(),
        source,
    }
}

fn make_dir(path: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(path)
        .map_err(failed("make the folder", path))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let size = fs::metadata(path).map_err(failed("read", path))?.len();
    if size > MAX_FILE {
        return Err(Error::TooLarge(path.to_owned()));
    }
    fs::read(path).map_err(failed("read", path))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let write = || {
        let mut file = options.open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(failed("write", path))
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(failed("put in place", to))
}

fn sync(folder: &Path) -> Result<(), Error> {
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(failed("write", folder))
}

fn remove_file(path: &Path) -> Result<(), Error> {
    gone(fs::remove_file(path)).map_err(failed("remove", path))
}

/// Removes a folder, if it is there and nothing is in it.
fn remove_empty_dir(path: &Path) -> Result<(), Error> {
    match gone(fs::remove_dir(path)) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => result.map_err(failed("remove", path)),
    }
}

fn remove_dir(path: &Path) -> Result<(), Error> {
    gone(fs::remove_dir_all(path)).map_err(failed("remove", path))
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(content: &str) -> Files {
        ["hosts.json", "backup.json", "scripts/a.json"]
            .map(|name| (name.to_owned(), content.as_bytes().to_vec()))
            .into()
    }

    #[test]
    fn a_new_set_takes_the_place_of_the_old_one_and_leaves_the_rest_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README"), "mine").unwrap();
        fs::write(dir.path().join("services.json"), "old").unwrap();
        fs::write(dir.path().join("actions_data_orig.json"), "ids").unwrap();
        let folder = Folder::create(dir.path()).unwrap();
        folder.replace(&files("1")).unwrap();
        folder.replace(&files("2")).unwrap();
        let mut read = folder.read().unwrap();
        assert_eq!(read.remove("actions_data_orig.json").unwrap(), b"ids");
        assert_eq!(read, files("2"));
        assert_eq!(fs::read(dir.path().join("README")).unwrap(), b"mine");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        assert_eq!(mode(&dir.path().join("hosts.json")), 0o600);
        assert_eq!(mode(&dir.path().join("scripts")), 0o700);
    }

    #[test]
    fn a_set_that_was_not_written_whole_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        Folder::create(dir.path())
            .unwrap()
            .replace(&files("1"))
            .unwrap();
        let staging = dir.path().join(STAGING);
        make_dir(&staging).unwrap();
        write(&staging.join("hosts.json"), b"2").unwrap();
        assert_eq!(
            Folder::open(dir.path()).unwrap().read().unwrap(),
            files("1")
        );
    }

    /// Whatever had moved when a run ended, the next one moves the rest.
    #[test]
    fn a_set_that_was_written_whole_is_put_in_place_by_the_next_run() {
        for moved in [
            &[][..],
            &["hosts.json"],
            &["scripts/a.json"],
            &["hosts.json", "scripts/a.json", "backup.json"],
        ] {
            let dir = tempfile::tempdir().unwrap();
            let old = ["services.json", "hosts.json", "scripts/old.json"]
                .map(|name| (name.to_owned(), b"old".to_vec()));
            Folder::create(dir.path())
                .unwrap()
                .replace(&old.into())
                .unwrap();
            let complete = dir.path().join(COMPLETE);
            make_dir(&complete.join("scripts")).unwrap();
            for (name, content) in files("2") {
                write(&complete.join(name), &content).unwrap();
            }
            write(
                &complete.join(CONTENTS),
                b"hosts.json\nbackup.json\nscripts/a.json",
            )
            .unwrap();
            for name in moved {
                rename(&complete.join(name), &dir.path().join(name)).unwrap();
            }
            let folder = Folder::open(dir.path()).unwrap();
            assert_eq!(folder.read().unwrap(), files("2"), "{moved:?}");
            assert!(!complete.exists());
        }
    }

    /// Folders of split files have names that others may have used as well.
    #[test]
    fn files_of_others_stay_in_folders_of_the_same_name() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = ["scripts/backup.sh", "scripts/lib/a.json", "images/logo.png"];
        for name in foreign {
            let path = dir.path().join(name);
            make_dir(path.parent().unwrap()).unwrap();
            write(&path, b"mine").unwrap();
        }
        let folder = Folder::create(dir.path()).unwrap();
        folder.replace(&files("1")).unwrap();
        assert_eq!(folder.read().unwrap(), files("1"));
        let mut whole = files("2");
        whole.remove("scripts/a.json");
        whole.insert("templates/triggers/t.json".to_owned(), b"2".to_vec());
        folder.replace(&whole).unwrap();
        assert_eq!(folder.read().unwrap(), whole);
        folder.delete().unwrap();
        for name in foreign {
            assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"mine", "{name}");
        }
        assert!(!dir.path().join("templates").exists());
    }

    #[test]
    fn two_runs_do_not_work_on_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Folder::create(dir.path()).unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(Error::InUse(_))));
    }

    #[test]
    fn deleting_takes_the_backup_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README"), "mine").unwrap();
        let folder = Folder::create(dir.path()).unwrap();
        folder.replace(&files("1")).unwrap();
        folder.delete().unwrap();
        let left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["README"]);
    }
}
