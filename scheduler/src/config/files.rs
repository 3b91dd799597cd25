//! Between a snapshot and the files of a backup.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::folder::{self, Files};
use super::kind::{Form, Kind};
use super::kinds::KINDS;
use super::legacy;
use super::observe::document_objects;
use super::secrets::Missing;
use super::snapshot::{Objects, Part, Snapshot};
use crate::zabbix::Version;

/// Why files are no backup.
#[derive(Debug, Error)]
pub enum Error {
    /// A file cannot be parsed.
    #[error(
        "{file} is no JSON, or only a part of it ({reason}); take the file from an older backup"
    )]
    Broken {
        /// The file.
        file: String,
        /// Where the parser stopped.
        reason: String,
    },
    /// A file is JSON of another shape.
    #[error("{0} is JSON, but nothing that a backup holds there")]
    Shape(String),
    /// There is nothing to restore.
    #[error("the folder holds no backup: none of the files that backup_config writes is there")]
    Empty,
    /// The files are of different versions of Zabbix.
    #[error("{file} is of Zabbix {found}, but the rest of the backup of {expected}")]
    Mixed {
        /// The file.
        file: String,
        /// Its version.
        found: Version,
        /// The version of the others.
        expected: Version,
    },
    /// The file about the backup names no version.
    #[error("{0} names no version of Zabbix")]
    NoVersion(String),
}

/// The files of a snapshot; with `split`, one for each object.
pub fn to_files(snapshot: &Snapshot, missing: &[Missing], split: bool) -> Files {
    let mut files = Files::new();
    for kind in KINDS {
        for (part, objects) in parts(snapshot, kind) {
            if split {
                for (name, object) in objects {
                    let one = Objects::from([(name.clone(), object.clone())]);
                    let folder = folder::part_folder(kind, part);
                    let content = document(snapshot.version, kind, &[(part, &one)]);
                    files.insert(format!("{folder}/{}.json", file_name(name)), content);
                }
            }
        }
        let whole = parts(snapshot, kind);
        let is_empty = whole.iter().all(|(_, objects)| objects.is_empty());
        // A kind without objects has a file all the same: it says that there are none, rather than that nobody asked.
        if !whole.is_empty() && (!split || is_empty) {
            let content = document(snapshot.version, kind, &whole);
            files.insert(format!("{}.json", kind.file), content);
        }
    }
    let about = json!({"zabbix": snapshot.version.to_string()});
    files.insert(folder::ABOUT.to_owned(), pretty(&about));
    files.insert(folder::SECRETS.to_owned(), pretty(&json!(missing)));
    files
}

/// The snapshot that files hold, in the form of the version that they are of, and what of it cannot be used.
pub fn from_files(files: &Files) -> Result<(Snapshot, Vec<String>), Error> {
    let mut parsed: Vec<(&str, Value)> = Vec::new();
    for (name, content) in files {
        let value = serde_json::from_slice(content).map_err(|error| Error::Broken {
            file: name.clone(),
            reason: error.to_string(),
        })?;
        parsed.push((name, value));
    }
    let version = version(&parsed)?;
    let legacy = legacy::is_legacy(&parsed).then(|| legacy::names(&parsed));
    let mut snapshot = Snapshot::new(version);
    let mut lost = Vec::new();
    for (file, value) in &mut parsed {
        let Some(kind) = kind_of(file) else { continue };
        for part in kind.parts() {
            snapshot.parts.entry(part).or_default();
        }
        match &kind.form {
            Form::Export(export) => {
                // The original program wrote an empty list as null.
                if value.is_null() {
                    continue;
                }
                let document = value
                    .get_mut("zabbix_export")
                    .filter(|document| document.is_object())
                    .ok_or_else(|| Error::Shape((*file).to_owned()))?;
                let version = snapshot.version;
                snapshot.extend(document_objects(kind, export, version, document));
            }
            _ => {
                for object in objects(file, value)? {
                    let object = match &legacy {
                        Some(names) => legacy::normalise(kind, object, names, &mut lost),
                        None => object,
                    };
                    let name = name(kind, &object, version);
                    snapshot.insert(kind.part(), name, without_name(object));
                }
            }
        }
    }
    if snapshot.parts.is_empty() {
        return Err(Error::Empty);
    }
    Ok((snapshot, lost))
}

/// JSON as it lies in files: sorted, two spaces, a newline at the end.
pub fn pretty(value: &impl Serialize) -> Vec<u8> {
    // Only maps whose keys are no texts cannot be written, and these have texts.
    let mut text = serde_json::to_vec_pretty(value).expect("keys are texts");
    text.push(b'\n');
    text
}

fn parts<'a>(snapshot: &'a Snapshot, kind: &Kind) -> Vec<(Part, &'a Objects)> {
    let parts = kind.parts().into_iter();
    parts
        .filter_map(|part| Some((part, snapshot.objects(part)?)))
        .collect()
}

/// A section of an export.
#[derive(Serialize)]
#[serde(untagged)]
enum Section<'a> {
    Version(String),
    Objects(Vec<&'a Value>),
}

/// One file: an export as Zabbix's own import takes it, a list, or one setting.
fn document(version: Version, kind: &Kind, parts: &[(Part, &Objects)]) -> Vec<u8> {
    match &kind.form {
        Form::Export(export) => {
            let mut sections = BTreeMap::from([("version", Section::Version(version.to_string()))]);
            for (part, objects) in parts {
                let section = match part.beside {
                    "" => (export.section)(version),
                    beside => beside,
                };
                if part.beside.is_empty() || !objects.is_empty() {
                    sections.insert(section, Section::Objects(objects.values().collect()));
                }
            }
            pretty(&BTreeMap::from([("zabbix_export", sections)]))
        }
        Form::Setting(_) => {
            let setting = parts.first();
            pretty(&setting.and_then(|(_, objects)| objects.values().next()))
        }
        Form::Objects(_) | Form::Aspect(_) => {
            // Its name is the object's own, unless it needed more to be told apart.
            let named = parts.iter().flat_map(|(_, objects)| objects.iter());
            let objects = named.map(|(name, object)| {
                let mut object = object.clone();
                if name != &self::name(kind, &object, version) {
                    object["$name"] = json!(name);
                }
                object
            });
            pretty(&objects.collect::<Vec<_>>())
        }
    }
}

fn objects(file: &str, value: &mut Value) -> Result<Vec<Value>, Error> {
    match value.take() {
        Value::Null => Ok(Vec::new()),
        Value::Array(objects) if objects.iter().all(Value::is_object) => Ok(objects),
        Value::Object(object) => Ok(vec![Value::Object(object)]),
        _ => Err(Error::Shape(file.to_owned())),
    }
}

fn name(kind: &Kind, object: &Value, version: Version) -> String {
    let field = kind.target().name_field(version);
    let name = object.get("$name").or_else(|| object.get(field?));
    name.and_then(Value::as_str).unwrap_or(kind.name).to_owned()
}

/// The object without what was added to tell it apart.
fn without_name(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("$name");
    }
    object
}

fn kind_of(file: &str) -> Option<&'static Kind> {
    let stem = match file.split_once('/') {
        Some((folder, _)) => folder,
        None => file.strip_suffix(".json")?,
    };
    KINDS.iter().copied().find(|kind| kind.file == stem)
}

fn version(parsed: &[(&str, Value)]) -> Result<Version, Error> {
    let mut known: Option<Version> = None;
    for (file, value) in parsed {
        let text = match *file {
            folder::ABOUT => Some(&value["zabbix"]),
            file if kind_of(file).is_some() => value.pointer("/zabbix_export/version"),
            _ => None,
        };
        let Some(text) = text else { continue };
        let found: Version = text
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::NoVersion((*file).to_owned()))?;
        match known {
            Some(expected) if expected != found => {
                return Err(Error::Mixed {
                    file: (*file).to_owned(),
                    found,
                    expected,
                });
            }
            _ => known = Some(found),
        }
    }
    // The original program ran with 5.0 and before.
    Ok(known.unwrap_or(Version(5, 0, 0)))
}

/// A name as a file's name: what a file system might not take is written as its code.
fn file_name(name: &str) -> String {
    use std::fmt::Write as _;
    const LONGEST: usize = 150;
    let mut safe = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b' ' | b'(' | b')' => {
                safe.push(char::from(byte));
            }
            _ => {
                // Writing into a String does not fail.
                let _ = write!(safe, "%{byte:02X}");
            }
        }
    }
    if safe.starts_with('.') {
        safe.replace_range(..1, "%2E");
    }
    if safe.len() > LONGEST {
        let digest = super::digest::md5(name.as_bytes());
        safe.truncate(LONGEST);
        safe = format!("{safe}~{digest}");
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::kinds;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::new(Version(6, 0, 0));
        let mut add = |kind: &str, beside: &'static str, name: &str, object: Value| {
            let part = Part {
                beside,
                ..kinds::by_name(kind).unwrap().part()
            };
            snapshot.insert(part, name.to_owned(), object);
        };
        add("host", "", "a/b", json!({"host": "a/b"}));
        add(
            "host",
            "triggers",
            "t: last(/a/b/k)=0",
            json!({"name": "t", "expression": "last(/a/b/k)=0"}),
        );
        add(
            "host",
            "graphs",
            "a/b: g",
            json!({"name": "g", "graph_items": [{"item": {"host": "a/b", "key": "k"}}]}),
        );
        add(
            "service",
            "",
            "One > Shop",
            json!({"name": "Shop", "parents": [{"serviceid": "One"}]}),
        );
        add(
            "service",
            "",
            "Two > Shop",
            json!({"name": "Shop", "parents": [{"serviceid": "Two"}]}),
        );
        add(
            "settings",
            "",
            "settings",
            json!({"work_period": "1-5,09:00-18:00"}),
        );
        snapshot
    }

    #[test]
    fn a_snapshot_is_read_from_its_files_whole_or_split() {
        let mut snapshot = snapshot();
        let empty = kinds::by_name("script").unwrap().part();
        snapshot.parts.entry(empty).or_default();
        for split in [false, true] {
            let files = to_files(&snapshot, &[], split);
            let (read, lost) = from_files(&files).unwrap();
            assert_eq!(read.parts, snapshot.parts, "split: {split}");
            assert_eq!((read.version, lost), (Version(6, 0, 0), Vec::new()));
        }
        assert!(to_files(&snapshot, &[], true).contains_key("hosts/a%2Fb.json"));
    }

    #[test]
    fn what_is_no_backup_is_refused_with_its_file() {
        let refused = |name: &str, content: &str| {
            let mut files = to_files(&snapshot(), &[], false);
            files.insert(name.to_owned(), content.as_bytes().to_vec());
            from_files(&files).unwrap_err().to_string()
        };
        assert!(refused("hosts.json", "{\"zabbix_export\": {").contains("hosts.json is no JSON"));
        assert!(refused("hosts.json", "[]").contains("hosts.json is JSON, but"));
        assert!(refused("services.json", "7").contains("services.json is JSON, but"));
        assert!(refused("backup.json", "{}").contains("backup.json names no version"));
        assert!(refused("backup.json", "{\"zabbix\": \"7.0\"}").contains("is of Zabbix"));
        assert!(matches!(from_files(&Files::new()), Err(Error::Empty)));
    }

    #[test]
    fn long_names_keep_apart_as_files() {
        let (first, second) = ("x".repeat(300) + "1", "x".repeat(300) + "2");
        assert_ne!(file_name(&first), file_name(&second));
        assert!(file_name(&first).len() < 200);
        assert_eq!(file_name("../up"), "%2E.%2Fup");
    }
}
