//! Secrets that a restore makes up, because no backup holds them.

use serde_json::{Map, Value};

use super::kind::Kind;
use super::plan::{Change, Step};
use crate::zabbix::{Version, dialect};

/// Secrets that an object cannot be made without, and that no backup holds.
pub fn secrets(
    kind: &Kind,
    step: &Step,
    create: bool,
    version: Version,
) -> Vec<(&'static str, String)> {
    let Some(object) = step.object() else {
        return Vec::new();
    };
    let mode = |field: &str| {
        object[field]
            .as_str()
            .and_then(|mode| mode.parse::<u8>().ok())
    };
    let psk = || {
        vec![
            (
                "tls_psk_identity",
                format!("{} {}", step.name, random::<4>()),
            ),
            ("tls_psk", random::<32>()),
        ]
    };
    let encrypts =
        mode("tls_connect") == Some(2) || mode("tls_accept").is_some_and(|mode| mode & 2 != 0);
    let newly = match &step.change {
        Change::Update(_, differences) => differences
            .iter()
            .any(|difference| difference.field.starts_with("tls_")),
        _ => true,
    };
    match kind.name {
        // Long, and with every class of characters that a policy may ask for.
        "user" if create => vec![("passwd", format!("Aa1!{}", random::<16>()))],
        // A secret macro without a value cannot be made; an empty one says that it waits for its value.
        "macro" if create && object["type"] == "1" && object.get("value").is_none() => {
            vec![("value", String::new())]
        }
        // It came with the host.
        "host_encryption" if dialect::exports_psk(version) => Vec::new(),
        "proxy" | "host_encryption" | "autoregistration" if encrypts && newly => psk(),
        _ => Vec::new(),
    }
}

/// Whether an exported host asks for a PSK, in either direction.
pub fn uses_psk(host: &Map<String, Value>) -> bool {
    let is_psk = |mode: &Value| mode == "TLS_PSK";
    let accepted = host.get("tls_accept").and_then(Value::as_array);
    host.get("tls_connect").is_some_and(is_psk)
        || accepted.is_some_and(|modes| modes.iter().any(is_psk))
}

/// Random bytes as hexadecimal digits.
pub fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    // The system's generator does not fail once the system is up.
    getrandom::fill(&mut bytes).expect("random bytes from the system");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
