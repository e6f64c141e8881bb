//! Names for peers that have none (`erl -sname undefined`, `erl -remsh`).

use enmesh_identity::{Creation, NameError, NodeName};

/// A name and an incarnation for a peer on `host`.
///
/// `seed` is secret and of our node alone, `challenge` of this connection, so that no two peers of
/// one node are given the same name but by the rarest chance; a link that exists is never theirs,
/// because the name that follows from a challenge cannot be foreseen.
pub(super) fn name_for(
    host: &str,
    seed: u64,
    challenge: u32,
) -> Result<(NodeName, Creation), NameError> {
    let number = mix(seed ^ mix(u64::from(challenge)));
    let name = NodeName::new(&base36(number), host)?;
    // The upper half is another number than the one that the name shows most of.
    let creation = Creation::from_seed((mix(number) >> 32) as u32);
    Ok((name, creation))
}

/// As `integer_to_list(Number, 36)` writes it.
fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    while digits.is_empty() || number > 0 {
        let digit = char::from_digit((number % 36) as u32, 36);
        digits.extend(digit.map(|digit| digit.to_ascii_uppercase()));
        number /= 36;
    }
    digits.iter().rev().collect()
}

/// Every bit of the result depends on every bit of `number` (splitmix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_erlang_writes_base_36() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(35), "Z");
        assert_eq!(base36(36), "10");
        assert_eq!(base36(u64::MAX), "3W5E11264SGSF");
    }

    #[test]
    fn each_connection_has_another_name() {
        let names: std::collections::BTreeSet<_> = (0..1000)
            .map(|challenge| name_for("h", 5, challenge).unwrap().0)
            .collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.host().as_str() == "h"));
        assert_ne!(name_for("h", 5, 1), name_for("h", 6, 1));
        assert_eq!(name_for("h@i", 5, 1), Err(NameError::NotOneAt));
        assert!(name_for("h", 5, 1).unwrap().1.get() >= 4);
    }
}
