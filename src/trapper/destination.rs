//! Where values go.

use std::fmt;

/// The trapper port of a Zabbix server or proxy.
const PORT: u16 = 10051;

/// A server or proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// One of the independent destinations that all get the data: a server, or the nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The node that is tried first.
    pub first: Address,
    /// The other nodes, in the order they are tried.
    pub others: Vec<Address>,
}

/// An entry that is no `host[:port]`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no destination: write host, host:port or [IPv6]:port")]
pub struct Error(String);

impl<'de> serde::Deserialize<'de> for Destination {
    fn deserialize<D: serde::Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        let text = String::deserialize(text)?;
        parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Reads a destination: `host[:port]`, or the nodes of a cluster parted by `;`.
///
/// # Errors
/// [`Error`].
pub fn parse(text: &str) -> Result<Destination, Error> {
    let nodes = text
        .split(';')
        .map(str::trim)
        .filter(|node| !node.is_empty());
    let mut nodes = nodes.map(address);
    let first = nodes.next().ok_or_else(|| Error(text.to_owned()))??;
    Ok(Destination {
        first,
        others: nodes.collect::<Result<_, _>>()?,
    })
}

/// Reads `host[:port]`.
///
/// # Errors
/// [`Error`].
pub fn address(text: &str) -> Result<Address, Error> {
    let error = || Error(text.to_owned());
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(error)?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(error()),
        }
    } else {
        match text.split_once(':') {
            // More than one colon: an IPv6 address without a port.
            Some((_, rest)) if rest.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(error());
    }
    let port = port.map_or(Ok(PORT), |port| port.parse().map_err(|_| error()))?;
    Ok(Address {
        host: host.to_owned(),
        port,
    })
}

impl Destination {
    /// All its nodes, in the order they are tried.
    pub fn nodes(&self) -> impl Iterator<Item = &Address> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.nodes().map(Address::to_string).collect();
        f.write_str(&nodes.join(";"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let destination = parse(text).unwrap();
        destination.nodes().map(Address::to_string).collect()
    }

    #[test]
    fn the_port_is_10051_where_none_is_given() {
        assert_eq!(shown("zabbix"), ["zabbix:10051"]);
        assert_eq!(shown("10.0.0.1:1"), ["10.0.0.1:1"]);
        assert_eq!(shown("[::1]:1"), ["[::1]:1"]);
        assert_eq!(shown("::1"), ["[::1]:10051"]);
        assert_eq!(shown("[fe80::1]"), ["[fe80::1]:10051"]);
    }

    #[test]
    fn semicolons_part_the_nodes_of_a_cluster() {
        assert_eq!(shown("a; b:2 ;"), ["a:10051", "b:2"]);
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in ["", ";", ":1", "a:b", "[::1", "[::1]x", "a b", "a:70000"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
