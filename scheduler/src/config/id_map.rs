//! `get_simple_id_map`: names and ids of templates, host groups, hosts and media types.

use serde_json::{Map, Value, json};

use super::kinds::{HOST, HOST_GROUP, MEDIA_TYPE, TEMPLATE};
use super::{Error, connect, digest, names};
use crate::environment::Environment;
use crate::report::Exit;

/// Prints the map, in the form that the original program kept as id_map_backup.json.
pub async fn id_map(environment: &Environment) -> Result<Exit, Error> {
    let sections = [
        ("hostgroups", &HOST_GROUP),
        ("hosts", &HOST),
        ("mediatypes", &MEDIA_TYPE),
        ("templates", &TEMPLATE),
    ];
    let client = connect(environment).await?;
    let names = names::list(&client, &sections.map(|(_, target)| target)).await;
    client.logout().await;
    let names = names?;
    let mut map = Map::new();
    for (section, target) in sections {
        let entries: Vec<Value> = names
            .all_ids(target)
            .into_iter()
            .filter_map(|id| {
                let name = names::text(names.name(target, id)?);
                let md5 = digest::md5(name.as_bytes());
                Some(json!({"id": id, "md5": md5, "name": name}))
            })
            .collect();
        map.insert(section.to_owned(), Value::Array(entries));
    }
    println!("{:#}", Value::Object(map));
    Ok(Exit::Done)
}
