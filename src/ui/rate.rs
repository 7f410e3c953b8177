//! Bandwidth as people write it: `5MB/s`, `800 kB`, `20Mbit/s`, `off`.

/// What a rate may look like, for error texts.
pub const FORMS: &str = "a rate looks like 5MB/s, 500kB/s, 20Mbit/s or off";

/// Units and their bytes; of two units with the same ending, the longer comes first.
const UNITS: [(&str, f64); 14] = [
    ("kibit", 128.0),
    ("mibit", 131_072.0),
    ("gibit", 134_217_728.0),
    ("kbit", 125.0),
    ("mbit", 125_000.0),
    ("gbit", 125_000_000.0),
    ("kib", 1_024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("b", 1.0),
    ("", 1.0),
];
/// At lower rates nothing arrives before somebody's patience runs out.
const RATE_MIN: f64 = 1_000.0;

/// Reads a rate in bytes per second; `None` inside is `off`.
///
/// # Errors
/// A sentence that says what is valid.
pub fn parse_rate(text: &str) -> Result<Option<u64>, String> {
    let lower = text.trim().to_ascii_lowercase();
    if lower == "off" {
        return Ok(None);
    }
    let amount = lower.strip_suffix("/s").unwrap_or(&lower);
    let digits = amount.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (_, unit) = amount.split_at(digits.len());
    let bytes = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| bytes);
    let number = digits.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let (Some(bytes), Some(number)) = (bytes, number) else { return Err(FORMS.to_owned()) };
    let rate = number * bytes;
    if !(RATE_MIN..=1e15).contains(&rate) {
        return Err(format!("1kB/s is the least that can be set; {FORMS}"));
    }
    Ok(Some(rate as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, rate) in [
            ("5MB/s", 5_000_000),
            ("5 mb", 5_000_000),
            ("1.5MiB/s", 1_572_864),
            ("500kB/s", 500_000),
            ("20Mbit/s", 2_500_000),
            ("64000", 64_000),
            ("64000 B/s", 64_000),
            ("1Gbit/s", 125_000_000),
        ] {
            assert_eq!(parse_rate(text), Ok(Some(rate)), "{text}");
        }
        assert_eq!(parse_rate("off"), Ok(None));
        for text in ["", "fast", "5 parsecs", "-5MB/s", "NaN", "1e400", "5MB/h", "10", "0", "MB"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
