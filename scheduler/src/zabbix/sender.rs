//! A trapper's client: values to one server, in one request.

use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SIGNATURE: &[u8] = b"ZBXD\x01";
/// The answer is one short sentence.
const MAX_ANSWER: u64 = 64 * 1024;

/// Sends `values`, key and value, of `host` to the server at `address`, and returns how many it refused. Which ones, and
/// why, it does not say.
pub async fn send(address: &str, host: &str, values: &[(&str, String)]) -> io::Result<u64> {
    let data: Vec<Value> = values
        .iter()
        .map(|(key, value)| json!({"host": host, "key": key, "value": value}))
        .collect();
    let body = json!({"request": "sender data", "data": data}).to_string();
    let mut server = TcpStream::connect(address).await?;
    server.write_all(&frame(body.as_bytes())).await?;
    let mut header = [0; 13];
    server.read_exact(&mut header).await?;
    if !header.starts_with(SIGNATURE) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this is no Zabbix trapper",
        ));
    }
    let length = header[5..9]
        .iter()
        .rev()
        .fold(0, |length, byte| length << 8 | u64::from(*byte));
    let mut answer = Vec::new();
    server
        .take(length.min(MAX_ANSWER))
        .read_to_end(&mut answer)
        .await?;
    refused(&answer)
}

/// The number in `{"response":"success","info":"processed: 2; failed: 1; total: 3; seconds spent: 0.000070"}`.
fn refused(answer: &[u8]) -> io::Result<u64> {
    let answer: Value = serde_json::from_slice(answer)?;
    let info = answer["info"].as_str().unwrap_or_default();
    let mut counts = info.split("; ").filter_map(|part| part.split_once(": "));
    let failed = counts.find(|(name, _)| *name == "failed");
    failed
        .and_then(|(_, count)| count.parse().ok())
        .ok_or_else(|| io::Error::other(format!("the server takes no values: {answer}")))
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(13 + body.len());
    frame.extend_from_slice(SIGNATURE);
    frame.extend_from_slice(&(body.len() as u64).to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_signature_length_and_body() {
        assert_eq!(frame(b"{}"), b"ZBXD\x01\x02\0\0\0\0\0\0\0{}");
    }

    #[test]
    fn an_answer_says_how_many_values_were_refused() {
        let success = r#"{"response":"success","info":"processed: 2; failed: 1; total: 3; seconds spent: 0.000070"}"#;
        assert_eq!(refused(success.as_bytes()).unwrap(), 1);
        let failure = r#"{"response":"failed","info":"the server is stopping"}"#;
        let error = refused(failure.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("the server is stopping"), "{error}");
    }
}
