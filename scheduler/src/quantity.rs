//! Quantities as people and Zabbix write them: sizes, cores and times.

use std::time::Duration;

/// Parses a number of bytes: `64M`, `1.5g`, `65536`; units are powers of 1024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let shift = match unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit)
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(format!("{text:?} is no size: write it as 64M or 1.5G")),
    };
    quantity(digits, f64::from(1u32 << 10).powi(shift / 10))
        .ok_or_else(|| format!("{text:?} is no size: write it as 64M or 1.5G"))
}

/// Parses a number of cores, `0.25`, into billionths of a core.
pub fn cores(text: &str) -> Result<u64, String> {
    quantity(text.trim(), 1e9)
        .ok_or_else(|| format!("{text:?} is no number of cores: write it as 0.25 or 2"))
}

/// Parses a time as Zabbix writes it: `300`, `300s`, `5m`, `1h`, `1d`, `1w`.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => 0,
    };
    digits
        .parse::<u32>()
        .ok()
        .filter(|_| factor > 0)
        .map(|n| Duration::from_secs(u64::from(n) * factor))
        .ok_or_else(|| format!("{text:?} is no time: write it as 300, 5m or 1h"))
}

/// A number of bytes, as [`bytes`] reads it.
pub fn show_bytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1u32 << 20);
    if mebibytes.fract() == 0.0 {
        format!("{mebibytes}M")
    } else {
        format!("{mebibytes:.1}M")
    }
}

/// A number of cores, as [`cores`] reads it.
pub fn show_cores(cores: u64) -> String {
    format!("{}", (cores as f64 / 1e6).round() / 1e3)
}

fn quantity(digits: &str, factor: f64) -> Option<u64> {
    let value = digits.parse::<f64>().ok()? * factor;
    // Below 2^53 every integer of a double is exact, and no limit of a container is above it.
    (value.is_finite() && (0.0..9.0e15).contains(&value)).then_some(value.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_cores_and_times_have_units() {
        assert_eq!(bytes("64M"), Ok(64 << 20));
        assert_eq!(bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(bytes("65536"), Ok(65_536));
        assert!(
            bytes("64 apples").is_err()
                && bytes("-1M").is_err()
                && bytes("").is_err()
                && bytes("1e300").is_err()
        );
        assert_eq!(cores("0.25"), Ok(250_000_000));
        assert!(cores("half").is_err() && cores("-1").is_err() && cores("NaN").is_err());
        assert_eq!(seconds("5m"), Ok(Duration::from_secs(300)));
        assert!(seconds("5x").is_err() && seconds("-5").is_err());
    }

    #[test]
    fn what_is_shown_can_be_read() {
        assert_eq!(show_bytes(64 << 20), "64M");
        assert_eq!(show_bytes(3 << 19), "1.5M");
        assert_eq!(show_cores(250_000_000), "0.25");
        assert_eq!(show_cores(2_000_000_000), "2");
    }
}
