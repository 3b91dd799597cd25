//! User directories and MFA methods, which no backup holds: a server may have them, and who refers to others is told.

use super::{NotCarried, lose, objects};
use crate::config::kinds::{KINDS, MFA, USER_DIRECTORY};
use crate::config::names::{Names, text};
use crate::config::plan::Desired;
use crate::config::snapshot::Snapshot;

/// Settings that Zabbix refuses without the one beside.
const WITH: [(&str, &[&str]); 2] = [
    (
        "ldap_userdirectoryid",
        &[
            "authentication_type",
            "ldap_auth_enabled",
            "ldap_jit_status",
        ],
    ),
    ("mfaid", &["mfa_status"]),
];

/// Leaves out what refers to a directory or method that the server does not have.
pub fn directories(desired: &mut Desired, observed: &Snapshot, names: &Names) -> Vec<NotCarried> {
    let mut lost = Vec::new();
    for kind in KINDS {
        let to = [USER_DIRECTORY.name, MFA.name];
        let references = kind.references.iter();
        for reference in references.filter(|reference| to.contains(&reference.to.name)) {
            let (field, target) = (reference.path, reference.to);
            let theirs = observed.of_kind(kind);
            for (name, object) in objects(&mut desired.snapshot, kind.name) {
                let Some(value) = object.get(field).cloned() else {
                    continue;
                };
                // Only Zabbix itself assigns a user to a directory.
                let is_user = kind.name == "user";
                let is_there = if is_user {
                    theirs.and_then(|users| users.get(name)?.get(field)) == Some(&value)
                } else {
                    !names.ids(target, &value).is_empty()
                };
                if !value.is_null() && !is_there {
                    let reason = format!("its {} \"{}\"", target.name, text(&value));
                    let reason = if is_user {
                        reason + ", to which only Zabbix itself assigns users"
                    } else {
                        reason + ", which the server does not have, and no backup"
                    };
                    lose(&mut lost, kind.name, name, reason);
                }
                let goes = is_user || (!value.is_null() && !is_there);
                if let (true, Some(fields)) = (goes, object.as_object_mut()) {
                    fields.remove(field);
                    let with = WITH.iter();
                    let with =
                        with.filter(|(other, _)| kind.name == "authentication" && *other == field);
                    for with in with.flat_map(|(_, with)| *with) {
                        fields.remove(*with);
                    }
                }
            }
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::upgrade::tests::{backup, lines, object};
    use crate::config::upgrade::upgrade;
    use crate::zabbix::Version;

    #[test]
    fn what_the_server_has_is_referred_to_and_the_rest_is_named() {
        let v7 = Version(7, 0, 0);
        let group = |directory: &str| json!({"gui_access": "2", "userdirectoryid": directory, "mfaid": null});
        let user = |directory: Value| json!({"surname": "s", "userdirectoryid": directory});
        let settings = |directory: &str| {
            json!({"authentication_type": "1", "ldap_auth_enabled": "1", "ldap_jit_status": "0",
                "ldap_userdirectoryid": directory, "mfa_status": "1", "mfaid": "codes", "passwd_min_length": "9"})
        };
        let ours = backup(
            v7,
            &[
                ("user_group", "here", group("here")),
                ("user_group", "gone", group("gone")),
                ("user", "lena", user(json!("here"))),
                ("user", "otto", user(json!("here"))),
                ("user", "nils", user(json!(null))),
                ("authentication", "authentication", settings("gone")),
            ],
        );
        let theirs = backup(v7, &[("user", "lena", user(json!("here")))]);
        let mut names = Names::default();
        names.add(&USER_DIRECTORY, "3".to_owned(), json!("here"));
        names.add(&MFA, "1".to_owned(), json!("codes"));
        let (mut desired, _) = upgrade(&ours, v7);
        let lost = directories(&mut desired, &theirs, &names);
        assert_eq!(
            lines(&lost),
            [
                "user_group gone: its user directory \"gone\", which the server does not have, and no backup",
                "user otto: its user directory \"here\", to which only Zabbix itself assigns users",
                "authentication authentication: its user directory \"gone\", which the server does not have, and no backup",
            ]
        );
        let left = |kind: &str, name: &str| object(&desired.snapshot, kind, name).clone();
        assert_eq!(left("user_group", "here"), group("here"));
        assert_eq!(
            left("user_group", "gone"),
            json!({"gui_access": "2", "mfaid": null})
        );
        for name in ["lena", "otto", "nils"] {
            assert_eq!(left("user", name), json!({"surname": "s"}));
        }
        assert_eq!(
            left("authentication", "authentication"),
            json!({"mfa_status": "1", "mfaid": "codes", "passwd_min_length": "9"})
        );
    }
}
