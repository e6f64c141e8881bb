//! Whether a map has a key twice.

/// Up to this many keys each is compared with each; more are sorted first.
const FEW: usize = 16;

/// Whether two of the keys are equal.
pub(crate) fn has_duplicate<K: Ord, V>(pairs: &[(K, V)]) -> bool {
    if pairs.len() <= FEW {
        return pairs
            .iter()
            .enumerate()
            .any(|(at, (key, _))| pairs[..at].iter().any(|(earlier, _)| earlier == key));
    }
    let mut keys: Vec<&K> = pairs.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|two| two[0] == two[1])
}
