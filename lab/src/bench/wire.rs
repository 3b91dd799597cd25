use std::{ops::Sub, process::Command};

use crate::{Error, Pod, docker};

/// Counts what crosses the pod's loopback, in the pod's own packet filter.
pub(crate) struct Wire {
    namespace: String,
}

/// What crossed it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Traffic {
    /// Bytes both ways, with the headers of IP and TCP.
    pub bytes: u64,
    /// Connections opened.
    pub connections: u64,
}

impl Wire {
    /// Counts from now on what goes to and from these ports.
    pub fn watch(pod: &Pod, ports: &[u16]) -> Result<Self, Error> {
        let wire = Self {
            namespace: format!("--net=/proc/{}/ns/net", pod.host_pid()),
        };
        for port in ports {
            let port = port.to_string();
            for rule in [
                &["--dport", &port][..],
                &["--sport", &port],
                &["--dport", &port, "--syn"],
            ] {
                let rule = [&["-A", "INPUT", "-p", "tcp"], rule].concat();
                wire.filter(&rule)?;
            }
        }
        Ok(wire)
    }

    /// What was counted so far.
    pub fn read(&self) -> Result<Traffic, Error> {
        Ok(traffic(&self.filter(&["-nvxL", "INPUT"])?))
    }

    fn filter(&self, arguments: &[&str]) -> Result<String, Error> {
        let mut command = Command::new("nsenter");
        command
            .args([&self.namespace, "iptables", "-w"])
            .args(arguments);
        let output = docker::output(&mut command)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Adds up a listing of the rules: `packets bytes ... tcp dpt:10051 flags:0x17/0x02`.
fn traffic(listing: &str) -> Traffic {
    let mut traffic = Traffic::default();
    for line in listing.lines().filter(|line| line.contains(" tcp ")) {
        let mut words = line.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (Some(packets), Some(bytes)) = (number(), number()) else {
            continue;
        };
        if line.contains("flags:") {
            traffic.connections += packets;
        } else {
            traffic.bytes += bytes;
        }
    }
    traffic
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Traffic {
            bytes: self.bytes - before.bytes,
            connections: self.connections - before.connections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_packets_are_connections_and_all_packets_are_bytes() {
        let listing = "\
Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
    pkts      bytes target     prot opt in     out     source               destination
      10     1000            tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8081
       9      500            tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spt:8081
       2      120            tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8081 flags:0x17/0x02
";
        let counted = traffic(listing);
        assert_eq!((counted.bytes, counted.connections), (1500, 2));
    }
}
