//! Names in certificates as RFC 4514 writes them, and as Zabbix compares them.

use openssl::nid::Nid;
use openssl::x509::{X509NameEntryRef, X509NameRef};

/// The name as text, the most special part first: `CN=server,OU=ops,O=Example`.
pub fn text(name: &X509NameRef) -> String {
    let part = |entry: &X509NameEntryRef| {
        let object = entry.object();
        let kind = match object.nid() {
            Nid::UNDEF => object.to_string(),
            nid => nid
                .short_name()
                .map_or_else(|_| object.to_string(), str::to_owned),
        };
        let value = match entry.data().to_string() {
            Ok(text) => escaped(&text),
            Err(_) => escaped(&String::from_utf8_lossy(entry.data().as_slice())),
        };
        format!("{kind}={value}")
    };
    let mut parts: Vec<String> = name.entries().map(part).collect();
    parts.reverse();
    parts.join(",")
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => text.extend(['\\', c]),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            c if c.is_ascii_control() => text.push_str(&format!("\\{:02X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::x509::{X509Name, X509NameBuilder};

    fn name(entries: &[(&str, &str)]) -> X509Name {
        let mut name = X509NameBuilder::new().unwrap();
        for (kind, value) in entries {
            name.append_entry_by_text(kind, value).unwrap();
        }
        name.build()
    }

    #[test]
    fn the_most_special_part_comes_first() {
        let name = name(&[("C", "DE"), ("O", "Größe"), ("CN", "server")]);
        assert_eq!(text(&name), "CN=server,O=Größe,C=DE");
    }

    #[test]
    fn what_parts_a_name_is_escaped_in_its_values() {
        let name = name(&[("O", "a, b+c; \"d\" <e>\\"), ("CN", "#1 "), ("OU", " x\n")]);
        assert_eq!(
            text(&name),
            r#"OU=\ x\0A,CN=\#1\ ,O=a\, b\+c\; \"d\" \<e\>\\"#
        );
    }
}
