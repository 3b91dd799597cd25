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

/// configuration.export and configuration.import carry the encryption of hosts, their PSKs as well.
pub fn exports_psk(version: Version) -> bool {
    version < Version(5, 4, 0)
}

/// Templates have groups of their own.
pub fn template_groups(version: Version) -> bool {
    version >= Version(6, 2, 0)
}

/// A user's login name: `alias` became `username`.
pub fn user_name(version: Version) -> &'static str {
    if version < Version(5, 4, 0) {
        "alias"
    } else {
        "username"
    }
}

/// user.create's field for media: `user_medias` became `medias`.
pub fn user_medias(version: Version) -> &'static str {
    if version < Version(5, 2, 0) {
        "user_medias"
    } else {
        "medias"
    }
}

/// A proxy's name: `host` became `name`.
pub fn proxy_name(version: Version) -> &'static str {
    if version < Version(7, 0, 0) {
        "host"
    } else {
        "name"
    }
}

/// action.get's parameter for them.
pub fn select_update_operations(version: Version) -> &'static str {
    if version < Version(6, 0, 0) {
        "selectAcknowledgeOperations"
    } else {
        "selectUpdateOperations"
    }
}

/// Two scripts may share a name in different places of the menu.
pub fn scripts_by_menu_path(version: Version) -> bool {
    let branch = version.branch();
    version >= Version(6, 2, 9) || (branch == Version(6, 0, 0) && version >= Version(6, 0, 15))
}

/// service.get's parameter for the services above: one, then several.
pub fn service_parents(version: Version) -> &'static str {
    if version < Version(6, 0, 0) {
        "selectParent"
    } else {
        "selectParents"
    }
}

/// configuration.export's option for host groups: `groups` became `host_groups`.
pub fn host_groups(version: Version) -> &'static str {
    if template_groups(version) {
        "host_groups"
    } else {
        "groups"
    }
}

/// maintenance.get's parameter for host groups: `selectGroups` became `selectHostGroups`.
pub fn select_host_groups(version: Version) -> &'static str {
    if template_groups(version) {
        "selectHostGroups"
    } else {
        "selectGroups"
    }
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
        for (version, expected) in [
            (Version(6, 0, 14), false),
            (Version(6, 0, 15), true),
            (Version(6, 2, 8), false),
            (Version(6, 2, 9), true),
            (Version(7, 0, 0), true),
        ] {
            assert_eq!(scripts_by_menu_path(version), expected, "{version}");
        }
        let (old, middle, new) = (Version(5, 0, 8), Version(6, 0, 14), Version(7, 0, 22));
        for (name, expected) in [
            (
                user_name as fn(Version) -> &'static str,
                ["alias", "username", "username"],
            ),
            (user_medias, ["user_medias", "medias", "medias"]),
            (proxy_name, ["host", "host", "name"]),
            (
                select_update_operations,
                [
                    "selectAcknowledgeOperations",
                    "selectUpdateOperations",
                    "selectUpdateOperations",
                ],
            ),
            (
                service_parents,
                ["selectParent", "selectParents", "selectParents"],
            ),
            (host_groups, ["groups", "groups", "host_groups"]),
            (
                select_host_groups,
                ["selectGroups", "selectGroups", "selectHostGroups"],
            ),
        ] {
            assert_eq!([name(old), name(middle), name(new)], expected);
        }
    }
}
