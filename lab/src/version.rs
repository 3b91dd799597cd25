use std::{fmt, str::FromStr};

/// A version of Zabbix that the lab can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 5.0, from Debian bullseye.
    V5_0,
    /// 6.0, from Debian bookworm.
    V6_0,
    /// 7.0, from Debian trixie.
    V7_0,
}

impl Version {
    /// Every version, the oldest first.
    pub const ALL: [Self; 3] = [Self::V5_0, Self::V6_0, Self::V7_0];

    /// The Debian release whose packages are of this version.
    pub fn suite(self) -> &'static str {
        match self {
            Self::V5_0 => "bullseye",
            Self::V6_0 => "bookworm",
            Self::V7_0 => "trixie",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V5_0 => "5.0",
            Self::V6_0 => "6.0",
            Self::V7_0 => "7.0",
        })
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|version| version.to_string() == text)
            .ok_or_else(|| format!("no Zabbix {text} here; one of 5.0, 6.0, 7.0"))
    }
}
