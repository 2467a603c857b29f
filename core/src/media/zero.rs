//! Blocks of zeros, which need not be written and are stored as holes.

/// True when all bytes are zero, or there are none.
pub fn is_zero(bytes: &[u8]) -> bool {
    // It looks at one cache line at a time, without a branch inside.
    bytes.chunks(64).all(|line| line.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::is_zero;

    #[test]
    fn every_byte_counts() {
        let mut bytes = [0; 200];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in 0..bytes.len() {
            bytes[at] = 0x80;
            assert!(!is_zero(&bytes), "{at}");
            bytes[at] = 0;
        }
    }
}
