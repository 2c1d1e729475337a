//! Formats numbers for people: thousands, percent, durations.

/// Returns the sign of a number, with a real minus character.
fn sign(negative: bool) -> &'static str {
    if negative { "\u{2212}" } else { "" }
}

/// Formats a quantity with thousands separators: `12,345`. Below a hundred, adds the digits that are needed to compare numbers.
pub fn quantity(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        s if s >= 100.0 || s == 0.0 => 0,
        s if s >= 1.0 => 2,
        _ => 4,
    };
    if size >= 1e15 || (size > 0.0 && size < 1e-4) {
        return format!("{}{size:.3e}", sign(value < 0.0));
    }
    let plain = format!("{size:.digits$}");
    let (whole, part) = plain.split_once('.').unwrap_or((&plain, ""));
    let part = part.trim_end_matches('0');
    let mut out = String::from(sign(value < 0.0));
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if !part.is_empty() {
        out.push('.');
        out.push_str(part);
    }
    out
}

/// Formats a percentage without `%`: one digit after the point, or none if `exact` is set and the number is an integer.
pub fn percent(value: f64, exact: bool) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    let digits = usize::from(!(exact && rounded.fract() == 0.0));
    format!("{}{:.digits$}", sign(rounded < 0.0), rounded.abs())
}

/// Formats a wall time: `0.4 s`, `12 s`, `3 min 05 s`, `1 h 02 min`.
pub fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round();
    let (minutes, rest) = ((whole / 60.0).floor(), whole % 60.0);
    if minutes < 1.0 {
        format!("{rest:.0} s")
    } else if minutes < 60.0 {
        format!("{minutes:.0} min {rest:02.0} s")
    } else {
        format!("{:.0} h {:02.0} min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        let shown = [0.0, 7.0, 0.25, 42.5, 999.9, 12345.4, 1_234_567.0, -12345.0, 1e300].map(quantity);
        assert_eq!(
            shown,
            [
                "0",
                "7",
                "0.25",
                "42.5",
                "1,000",
                "12,345",
                "1,234,567",
                "\u{2212}12,345",
                "1.000e300"
            ]
        );
    }

    #[test]
    fn percentages() {
        assert_eq!(percent(-1.44, false), "\u{2212}1.4");
        assert_eq!(percent(-10.0, true), "\u{2212}10");
        assert_eq!(percent(-0.01, false), "0.0");
        assert_eq!(percent(3.0, false), "3.0");
    }

    #[test]
    fn durations() {
        let shown = [0.04, 9.96, 59.6, 185.0, 3725.0].map(duration);
        assert_eq!(shown, ["0.0 s", "10 s", "1 min 00 s", "3 min 05 s", "1 h 02 min"]);
    }
}
