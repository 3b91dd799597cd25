//! The version of an API.

use std::fmt;
use std::str::FromStr;

/// A Zabbix version: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// The branch that the version belongs to: 6.0 of 6.0.14.
    pub fn branch(self) -> Self {
        Self(self.0, self.1, 0)
    }
}

impl FromStr for Version {
    type Err = ();

    /// Takes `6.0`, `6.0.14` and `7.4.0rc1`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.trim().splitn(3, '.').map(|part| {
            let digits = part.split(|c: char| !c.is_ascii_digit()).next();
            digits.unwrap_or_default().parse().map_err(|_| ())
        });
        let major = parts.next().ok_or(())??;
        let minor = parts.next().ok_or(())??;
        let patch = parts.next().transpose()?.unwrap_or(0);
        Ok(Self(major, minor, patch))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)?;
        if self.2 != 0 {
            write!(f, ".{}", self.2)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_and_candidate_versions_are_read() {
        assert_eq!("6.0.14".parse(), Ok(Version(6, 0, 14)));
        assert_eq!("6.0".parse(), Ok(Version(6, 0, 0)));
        assert_eq!("8.0.0alpha1".parse(), Ok(Version(8, 0, 0)));
        assert_eq!("six".parse::<Version>(), Err(()));
        assert_eq!("".parse::<Version>(), Err(()));
    }

    #[test]
    fn versions_are_ordered_and_printed_as_zabbix_prints_them() {
        assert!(Version(5, 0, 8) < Version(5, 4, 0));
        assert_eq!(Version(7, 0, 22).to_string(), "7.0.22");
        assert_eq!(Version(7, 0, 22).branch().to_string(), "7.0");
    }
}
