//! The agent's passive protocol, from the server's side.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{Error, Version};

/// The longest answer that is read.
const LIMIT: u32 = 128 << 20;

/// Asks an agent of this version for an item.
pub(crate) fn ask(
    mut agent: TcpStream,
    version: Version,
    key: &str,
    timeout: Duration,
) -> Result<String, Error> {
    let patience = timeout + Duration::from_secs(1);
    let answer = exchange(&mut agent, &request(version, key, timeout), patience).map_err(
        |error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::TooLate {
                what: format!("the agent's answer for {key}"),
                seconds: patience.as_secs(),
            },
            _ => Error::io(format!("asking the agent for {key}"))(error),
        },
    )?;
    value(version, key, &answer)
}

fn request(version: Version, key: &str, timeout: Duration) -> Vec<u8> {
    let seconds = timeout.as_secs().max(1);
    let body = if version < Version::V7_0 {
        key.to_owned()
    } else {
        json!({"request": "passive checks", "data": [{"key": key, "timeout": seconds}]}).to_string()
    };
    let mut frame = b"ZBXD\x01".to_vec();
    frame.extend((body.len() as u64).to_le_bytes());
    frame.extend(body.as_bytes());
    frame
}

fn exchange(agent: &mut TcpStream, request: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    agent.set_read_timeout(Some(patience))?;
    agent.write_all(request)?;
    let mut header = [0; 13];
    agent.read_exact(&mut header)?;
    let [b'Z', b'B', b'X', b'D', 1, a, b, c, d, ..] = header else {
        return Err(io::Error::other(format!(
            "no header of an agent: {header:?}"
        )));
    };
    let length = u32::from_le_bytes([a, b, c, d]).min(LIMIT);
    let mut answer = Vec::new();
    agent.take(length.into()).read_to_end(&mut answer)?;
    Ok(answer)
}

fn value(version: Version, key: &str, answer: &[u8]) -> Result<String, Error> {
    let text = String::from_utf8_lossy(answer);
    let refused = |reason: &str| {
        Err(Error::NotSupported {
            key: key.into(),
            reason: reason.into(),
        })
    };
    if version < Version::V7_0 {
        return match text.strip_prefix("ZBX_NOTSUPPORTED") {
            Some(reason) => refused(reason.trim_start_matches('\0')),
            None => Ok(text.into_owned()),
        };
    }
    let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
    let data = &parsed["data"][0];
    match (
        data["value"].as_str(),
        data["error"].as_str().or(parsed["error"].as_str()),
    ) {
        (Some(value), _) => Ok(value.to_owned()),
        (None, Some(reason)) => refused(reason),
        (None, None) => Err(Error::Answer {
            from: "the agent".into(),
            answer: text.chars().take(300).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_taken_from_either_form_of_answer() {
        assert_eq!(value(Version::V5_0, "k", b"1").unwrap(), "1");
        assert_eq!(
            value(
                Version::V7_0,
                "k",
                br#"{"version":"7.0.0","data":[{"value":"1"}]}"#
            )
            .unwrap(),
            "1"
        );
    }

    #[test]
    fn a_refusal_carries_the_agents_reason() {
        let refusals: [(Version, &[u8]); 3] = [
            (Version::V6_0, b"ZBX_NOTSUPPORTED\0No such thing."),
            (Version::V7_0, br#"{"data":[{"error":"No such thing."}]}"#),
            (Version::V7_0, br#"{"error":"No such thing."}"#),
        ];
        for (version, answer) in refusals {
            let error = value(version, "k", answer).unwrap_err();
            assert!(
                matches!(error, Error::NotSupported { reason, .. } if reason == "No such thing.")
            );
        }
    }

    #[test]
    fn an_agent_that_hangs_up_is_an_error_and_no_value() {
        assert!(matches!(
            value(Version::V7_0, "k", b""),
            Err(Error::Answer { .. })
        ));
    }
}
