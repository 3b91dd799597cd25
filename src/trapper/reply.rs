//! What a trapper answers.

use serde::Deserialize;

use super::destination::{self, Address};

/// What became of a request's values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reply {
    /// Values that the server took.
    pub processed: u64,
    /// Values that it refused: unknown host or key, wrong item type, address not allowed, item not yet known...
    pub failed: u64,
    /// What the server says it spent, in seconds.
    pub seconds: f64,
}

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server's own words.
    #[error("the server refused the request: {0}")]
    Refused(String),
    /// Another member of its proxy group is the host's (Zabbix 7.0).
    #[error("the host belongs to {0} of its proxy group")]
    Redirected(Address),
    /// It knows no member that is the host's: to be asked is what the configuration names.
    #[error("it is not the host's proxy, and names no other")]
    Reset,
    /// No JSON, or JSON of another shape.
    #[error("the answer cannot be understood")]
    Unknown,
}

#[derive(Deserialize)]
struct Answer {
    response: String,
    #[serde(default)]
    info: String,
    redirect: Option<Redirect>,
}

#[derive(Deserialize)]
struct Redirect {
    #[serde(default)]
    address: String,
    #[serde(default)]
    reset: bool,
}

/// Reads the message of an answer.
///
/// # Errors
/// [`Error`].
pub fn read(message: &[u8]) -> Result<Reply, Error> {
    let answer: Answer = serde_json::from_slice(message).map_err(|_| Error::Unknown)?;
    if let Some(redirect) = answer.redirect {
        if redirect.reset {
            return Err(Error::Reset);
        }
        let address = destination::address(&redirect.address);
        return Err(address.map_or(Error::Unknown, Error::Redirected));
    }
    if answer.response != "success" {
        let words = if answer.info.is_empty() {
            answer.response
        } else {
            answer.info
        };
        // One line of a log, and no longer than one.
        let words = words.chars().take(200);
        let shown = words.map(|c| if c.is_control() { ' ' } else { c });
        return Err(Error::Refused(shown.collect()));
    }
    counts(&answer.info).ok_or(Error::Unknown)
}

/// `processed: 2; failed: 1; total: 3; seconds spent: 0.000070`
fn counts(info: &str) -> Option<Reply> {
    let field = |name: &str| {
        let fields = info.split(';').filter_map(|field| field.split_once(':'));
        fields
            .map(|(field, value)| (field.trim(), value.trim()))
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    };
    Some(Reply {
        processed: field("processed")?.parse().ok()?,
        failed: field("failed")?.parse().ok()?,
        seconds: field("seconds spent")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_servers_sentence() {
        let message = br#"{"response":"success","info":"processed: 2; failed: 1; total: 3; seconds spent: 0.5"}"#;
        assert_eq!(
            read(message),
            Ok(Reply {
                processed: 2,
                failed: 1,
                seconds: 0.5
            })
        );
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let refused = Error::Refused("cannot process".into());
        assert_eq!(
            read(br#"{"response":"failed","info":"cannot process"}"#),
            Err(refused)
        );
        let two_lines = Error::Refused("cannot process".into());
        assert_eq!(
            read(br#"{"response":"failed","info":"cannot\nprocess"}"#),
            Err(two_lines)
        );
    }

    #[test]
    fn a_proxy_group_says_who_is_to_be_asked() {
        let redirected = |redirect: &str| {
            let message = format!(r#"{{"response":"failed","redirect":{redirect}}}"#);
            read(message.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            redirected(r#"{"revision":7,"address":"10.0.0.2"}"#),
            "the host belongs to 10.0.0.2:10051 of its proxy group"
        );
        assert_eq!(redirected(r#"{"reset":true}"#), Error::Reset.to_string());
        assert_eq!(redirected("{}"), Error::Unknown.to_string());
    }

    #[test]
    fn anything_else_is_not_understood() {
        for message in [
            &b""[..],
            b"{}",
            b"[]",
            b"\xff",
            br#"{"response":"success","info":"processed: -1"}"#,
        ] {
            assert_eq!(read(message), Err(Error::Unknown));
        }
    }
}
