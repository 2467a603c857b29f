//! Numbers of bytes on the command line.

/// A number of bytes, with K, M, G or T for powers of 1024.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let upper = text.to_ascii_uppercase();
    let (digits, shift) = units
        .iter()
        .find_map(|(unit, shift)| upper.strip_suffix(unit).map(|digits| (digits, *shift)))
        .unwrap_or((&upper, 0));
    let number: u64 = digits.parse().map_err(|_| "not a number of bytes".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("64m"), Ok(64 << 20));
        assert_eq!(parse_size("2T"), Ok(2 << 40));
        assert!(["", "K", "-1", "1.5G", "99999999T"].iter().all(|text| parse_size(text).is_err()));
    }
}
