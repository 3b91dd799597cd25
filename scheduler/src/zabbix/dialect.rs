//! What differs between versions of the API: one function for each renamed field, with the version that renamed it.

use super::Version;

/// user.login's field for the user: `user` became `username`.
pub fn login_name(version: Version) -> &'static str {
    if version < Version(5, 4, 0) {
        "user"
    } else {
        "username"
    }
}

/// The session goes into the header `Authorization: Bearer`, no longer into the body.
pub fn bearer(version: Version) -> bool {
    version >= Version(6, 4, 0)
}

/// Templates have groups of their own.
pub fn template_groups(version: Version) -> bool {
    version >= Version(6, 2, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_changes_with_its_version() {
        assert_eq!(login_name(Version(5, 0, 8)), "user");
        assert_eq!(login_name(Version(6, 0, 0)), "username");
        assert!(!bearer(Version(6, 0, 14)));
        assert!(bearer(Version(7, 0, 0)));
        assert!(!template_groups(Version(6, 0, 0)));
        assert!(template_groups(Version(7, 0, 0)));
    }
}
