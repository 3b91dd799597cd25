//! Reading a server's configuration: every kind of the table, side by side.

use serde_json::{Value, json};
use thiserror::Error;

use super::kind::{Export, Form, Kind};
use super::kinds::{self, KINDS};
use super::names::{self, Names};
use super::normal::{self, normalise};
use super::numbers;
use super::snapshot::{Part, Snapshot, name_beside};
use super::target::Target;
use super::withheld;
use crate::progress::Progress;
use crate::zabbix::{self, Client, Request, Version};

/// Why a server's configuration cannot be read.
#[derive(Debug, Error)]
pub enum Error {
    /// A call failed.
    #[error(transparent)]
    Zabbix(#[from] zabbix::Error),
    /// An export is no JSON document.
    #[error("Zabbix answered configuration.export of {0} with something that is no export")]
    NotAnExport(&'static str),
}

/// What a server holds, and what of it leads nowhere.
#[derive(Debug)]
pub struct Observation {
    /// The objects.
    pub snapshot: Snapshot,
    /// The names that stand for ids on this server.
    pub names: Names,
    /// References without a target, as sentences.
    pub dangling: Vec<String>,
}

/// One call, and what its answer is for.
struct Job {
    kind: &'static Kind,
    request: Request,
}

/// What was made of an answer.
enum Taken {
    /// The objects of an export.
    Exported(Vec<(Part, String, Value)>),
    /// Whatever else was asked for.
    Answer(Value),
}

/// Reads the kinds that `wanted` picks.
pub async fn observe(
    client: &Client,
    wanted: &dyn Fn(&Kind) -> bool,
) -> Result<Observation, Error> {
    let version = client.version();
    let kinds: Vec<&'static Kind> = KINDS
        .iter()
        .copied()
        .filter(|kind| kind.exists_in(version) && wanted(kind))
        .collect();
    let mut names = names::list(client, &targets(&kinds)).await?;
    let jobs: Vec<Job> = kinds
        .iter()
        .flat_map(|kind| jobs(kind, &names, version))
        .collect();
    let withheld = withheld::requests(&kinds, version);
    let progress = Progress::new("reading", jobs.len() + withheld.len());
    let requests = jobs.iter().map(|job| &job.request).chain(&withheld);
    let requests: Vec<Request> = requests.cloned().collect();
    let take = |index: usize, answer: Result<Value, zabbix::Error>| {
        progress.advance();
        let answer = answer?;
        match jobs.get(index).map(|job| (job.kind, &job.kind.form)) {
            Some((kind, Form::Export(export))) => exported(kind, export, version, answer),
            _ => Ok(Taken::Answer(answer)),
        }
    };
    let taken = client.call_each(&requests, &take).await;
    progress.finish();
    let mut snapshot = Snapshot::new(version);
    for part in kinds.iter().flat_map(|kind| kind.parts()) {
        snapshot.parts.entry(part).or_default();
    }
    let mut objects: Vec<(&'static Kind, Value)> = Vec::new();
    let mut secrets = Vec::new();
    for (index, taken) in taken.into_iter().enumerate() {
        match (taken?, jobs.get(index)) {
            (Taken::Exported(exported), _) => snapshot.extend(exported),
            (Taken::Answer(Value::Array(answers)), Some(job)) => {
                objects.extend(answers.into_iter().map(|object| (job.kind, object)));
            }
            (Taken::Answer(setting), Some(job)) => objects.push((job.kind, setting)),
            (Taken::Answer(answer), None) => secrets.push(answer),
        }
    }
    for (request, answer) in withheld.iter().zip(secrets) {
        withheld::fill(&mut snapshot, request, &answer);
    }
    names::look_up_ids(client, &mut names, &mut objects).await?;
    let mut dangling = Vec::new();
    for (kind, object) in objects {
        let name = name(kind, &object, &names);
        let (object, lost) = normalise(kind, object, &names);
        dangling.extend(
            lost.iter()
                .map(|lost| format!("{} \"{name}\": {lost}", kind.name)),
        );
        if !is_default(kind, &object) {
            snapshot.insert(kind.part(), name, object);
        }
    }
    Ok(Observation {
        snapshot,
        names,
        dangling,
    })
}

/// Everything that the kinds' references may point to, and the kinds themselves.
fn targets(kinds: &[&'static Kind]) -> Vec<&'static Target> {
    let mut targets: Vec<&'static Target> = kinds::TARGETS.to_vec();
    for kind in kinds {
        if !targets
            .iter()
            .any(|target| target.name == kind.target().name)
        {
            targets.push(kind.target());
        }
    }
    targets
}

fn jobs(kind: &'static Kind, names: &Names, version: Version) -> Vec<Job> {
    match &kind.form {
        // Up to 5.2 an export holds images only beside the maps that show them.
        Form::Export(export) if kind.name == "image" && version < Version(5, 4, 0) => vec![Job {
            kind,
            request: Request::new(
                format!("{}.get", export.target.api),
                json!({"output": "extend", "select_image": true}),
            ),
        }],
        Form::Export(export) => names
            .all_ids(export.target)
            .into_iter()
            .filter(|id| !names.is_discovered(export.target, id))
            .collect::<Vec<_>>()
            .chunks(export.batch)
            .map(|ids| Job {
                kind,
                request: Request::new(
                    "configuration.export",
                    json!({"format": "json", "options": {(export.option)(version): ids}}),
                ),
            })
            .collect(),
        Form::Objects(api) | Form::Aspect(api) | Form::Setting(api) => vec![Job {
            kind,
            request: Request::new(format!("{}.get", api.target.api), (api.get)(version)),
        }],
    }
}

fn exported(
    kind: &'static Kind,
    export: &Export,
    version: Version,
    answer: Value,
) -> Result<Taken, Error> {
    let wrong = || Error::NotAnExport(kind.name);
    if let Value::Array(images) = answer {
        let section = (export.section)(version.branch());
        let images: Vec<Value> = images.into_iter().map(image).collect();
        let mut document = json!({section: images});
        return Ok(Taken::Exported(document_objects(
            kind,
            export,
            version,
            &mut document,
        )));
    }
    let text = answer.as_str().ok_or_else(wrong)?;
    let mut document: Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let document = document.get_mut("zabbix_export").ok_or_else(wrong)?;
    Ok(Taken::Exported(document_objects(
        kind, export, version, document,
    )))
}

/// Takes the sections that belong to `kind` out of an export of this version.
pub fn document_objects(
    kind: &'static Kind,
    export: &Export,
    version: Version,
    document: &mut Value,
) -> Vec<(Part, String, Value)> {
    let mut objects = Vec::new();
    for mut object in elements(document, (export.section)(version.branch())) {
        numbers::renumber(&mut object);
        normal::sort(&mut object);
        let name = object[export.key].as_str().unwrap_or_default().to_owned();
        objects.push((kind.part(), name, object));
    }
    for beside in export.beside {
        for mut object in elements(document, beside) {
            normal::sort(&mut object);
            let part = Part {
                kind: kind.name,
                beside,
            };
            objects.push((part, name_beside(&object), object));
        }
    }
    objects
}

/// An image of image.get as an export holds it.
fn image(image: Value) -> Value {
    json!({"name": image["name"], "imagetype": image["imagetype"], "encodedImage": image["image"]})
}

fn elements(document: &mut Value, section: &str) -> Vec<Value> {
    match document.get_mut(section).map(Value::take) {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    }
}

/// An object's name: what stands for its id.
fn name(kind: &Kind, object: &Value, names: &Names) -> String {
    let target = kind.target();
    let id = object.get(target.id).and_then(Value::as_str);
    id.and_then(|id| names.name(target, id))
        .map_or_else(|| kind.name.to_owned(), names::text)
}

/// Hosts without encryption and services with nothing below are the rule, and are not listed.
fn is_default(kind: &Kind, object: &Value) -> bool {
    match kind.name {
        "host_encryption" => object["tls_connect"] == "1" && object["tls_accept"] == "1",
        "service_link" => object["dependencies"] == json!([]),
        _ => false,
    }
}
