//! What tells services apart: the names above them and their own. A server may have several of one name.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

const BELOW: &str = " > ";

/// A service in its tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What its children know it by.
    pub key: String,
    /// Its own name.
    pub name: String,
    /// What it lies below, by their keys.
    pub parents: Vec<String>,
}

/// The service as a node: with ids, as Zabbix answers it, or with names, as a backup holds it.
pub fn node(service: &Value, key: String) -> Option<Node> {
    let parents = service.get("parents").and_then(Value::as_array);
    let parents = parents.into_iter().flatten().chain(service.get("parent"));
    let parents = parents.map(|parent| &parent["serviceid"]);
    let parents = parents.chain(service.get("parentid"));
    Some(Node {
        key,
        name: service["name"].as_str()?.to_owned(),
        parents: parents
            .filter_map(|parent| Some(parent.as_str()?.to_owned()))
            .collect(),
    })
}

/// The paths of the nodes, in their order: one below several parents is called by the first, and the second of two that
/// nothing tells apart gets a number. What else there is plays no part in a path.
pub fn paths(nodes: &[Node]) -> Vec<String> {
    let places: HashMap<&str, usize> = (0..)
        .zip(nodes)
        .map(|(place, node)| (node.key.as_str(), place))
        .collect();
    let mut paths: Vec<Option<String>> = vec![None; nodes.len()];
    let mut taken = HashSet::new();
    loop {
        let mut level: Vec<(String, Vec<String>, usize)> = (0..)
            .zip(nodes)
            .filter(|(place, _)| paths[*place].is_none())
            .filter_map(|(place, node)| {
                let parents = node.parents.iter();
                let parents = parents.filter_map(|parent| places.get(parent.as_str()));
                let mut above: Vec<String> = parents
                    .map(|parent| paths[*parent].clone())
                    .collect::<Option<_>>()?;
                above.sort_unstable();
                let path = match above.first() {
                    Some(parent) => format!("{parent}{BELOW}{}", node.name),
                    None => node.name.clone(),
                };
                Some((path, above, place))
            })
            .collect();
        if level.is_empty() {
            break;
        }
        level.sort_unstable();
        for (path, _, place) in level {
            paths[place] = Some(unique(path, &mut taken));
        }
    }
    // Those that lie below themselves have no path.
    let each = nodes.iter().zip(paths);
    each.map(|(node, path)| path.unwrap_or_else(|| unique(node.name.clone(), &mut taken)))
        .collect()
}

fn unique(path: String, taken: &mut HashSet<String>) -> String {
    let mut unique = path.clone();
    let mut number = 2;
    while !taken.insert(unique.clone()) {
        unique = format!("{path} #{number}");
        number += 1;
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(key: &str, name: &str, parents: &[&str]) -> Node {
        let text = |text: &&str| (*text).to_owned();
        Node {
            key: text(&key),
            name: text(&name),
            parents: parents.iter().map(text).collect(),
        }
    }

    #[test]
    fn a_path_does_not_depend_on_what_else_there_is() {
        let nodes = [
            node("5", "Shop", &["4"]),
            node("1", "Shop", &[]),
            node("4", "Company", &[]),
            node("7", "Web", &["5"]),
            node("8", "Web", &["1"]),
        ];
        let all = [
            "Company > Shop",
            "Shop",
            "Company",
            "Company > Shop > Web",
            "Shop > Web",
        ];
        assert_eq!(paths(&nodes), all);
        let (root, others) = (nodes[1].clone(), [&nodes[..1], &nodes[2..4]].concat());
        assert_eq!(paths(&[root]), ["Shop"]);
        assert_eq!(
            paths(&others),
            ["Company > Shop", "Company", "Company > Shop > Web"]
        );
    }

    #[test]
    fn a_node_below_several_is_called_by_the_first_of_them() {
        let nodes = [
            node("1", "B", &[]),
            node("2", "A", &[]),
            node("3", "DB", &["1", "2"]),
            node("4", "Disk", &["3", "1"]),
        ];
        assert_eq!(paths(&nodes), ["B", "A", "A > DB", "A > DB > Disk"]);
    }

    #[test]
    fn twins_get_numbers_and_so_their_children_have_a_parent() {
        let nodes = [
            node("1", "A", &[]),
            node("2", "DB", &["1"]),
            node("3", "DB", &["1"]),
            node("4", "Disk", &["3"]),
        ];
        assert_eq!(
            paths(&nodes),
            ["A", "A > DB", "A > DB #2", "A > DB #2 > Disk"]
        );
    }

    #[test]
    fn a_circle_is_named_and_does_not_hang() {
        let nodes = [
            node("1", "A", &["2"]),
            node("2", "B", &["1"]),
            node("3", "B", &[]),
        ];
        assert_eq!(paths(&nodes), ["A", "B #2", "B"]);
    }
}
