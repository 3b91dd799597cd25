//! One call of the API, as data.

use serde_json::Value;

/// A method and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// For instance `host.get`.
    pub method: String,
    /// Its parameters.
    pub params: Value,
}

impl Request {
    /// A call of `method` with `params`.
    pub fn new(method: impl Into<String>, params: Value) -> Self {
        Self {
            method: method.into(),
            params,
        }
    }

    /// Whether the call changes nothing, and so may be sent again when its answer is lost.
    pub fn is_read(&self) -> bool {
        let verb = self.method.rsplit('.').next().unwrap_or_default();
        matches!(
            verb,
            "get" | "export" | "importcompare" | "version" | "getglobal"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_that_change_nothing_are_reads() {
        for method in ["host.get", "configuration.export", "apiinfo.version"] {
            assert!(Request::new(method, Value::Null).is_read(), "{method}");
        }
        for method in [
            "host.create",
            "configuration.import",
            "user.login",
            "host.massupdate",
        ] {
            assert!(!Request::new(method, Value::Null).is_read(), "{method}");
        }
    }
}
