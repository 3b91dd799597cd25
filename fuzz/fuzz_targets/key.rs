#![no_main]

use courier::key::parameter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some(written) = parameter(text) else {
        assert!(text.ends_with('\\'), "{text:?}");
        return;
    };
    assert_eq!(as_zabbix_reads(&written).as_deref(), Some(text));
});

/// The only parameter of a key `name[written]`, by the rules for keys in Zabbix's manual.
fn as_zabbix_reads(written: &str) -> Option<String> {
    let Some(quoted) = written.strip_prefix('"') else {
        let plain = !written.starts_with([' ', '[']) && !written.contains([',', ']']);
        return plain.then(|| written.to_owned());
    };
    // A quote ends the parameter unless a backslash stands before it; no other backslash has a meaning.
    let mut text = String::new();
    let mut rest = quoted;
    loop {
        let at = rest.find('"')?;
        match rest[..at].strip_suffix('\\') {
            Some(before) => {
                text.push_str(before);
                text.push('"');
                rest = &rest[at + 1..];
            }
            None => {
                text.push_str(&rest[..at]);
                return (at + 1 == rest.len()).then_some(text);
            }
        }
    }
}
