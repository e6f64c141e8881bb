//! Room for the neighbours of all pods.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The kernel has one table for all network namespaces together, and by default 1,024 places in it: forty pods that talk with
/// each other want more, and beyond that packets are lost without a word but in the kernel's log.
const THRESHOLDS: [(&str, u32); 3] = [
    ("gc_thresh1", 8_192),
    ("gc_thresh2", 16_384),
    ("gc_thresh3", 32_768),
];

/// Raises the machine's bounds where they are lower; they are never lowered.
pub(super) fn make_room() -> Result<()> {
    for family in ["ipv4", "ipv6"] {
        // The highest first: none may be above the one behind it.
        for (name, wanted) in THRESHOLDS.into_iter().rev() {
            let file = format!("/proc/sys/net/{family}/neigh/default/{name}");
            raise(Path::new(&file), wanted)?;
        }
    }
    Ok(())
}

/// A namespace of its own, as containers have it, has no such file.
fn raise(file: &Path, wanted: u32) -> Result<()> {
    let Ok(text) = fs::read_to_string(file) else {
        return Ok(());
    };
    if text.trim().parse::<u32>()? < wanted {
        fs::write(file, wanted.to_string())
            .with_context(|| format!("{} could not be raised to {wanted}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_raised_and_never_lowered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gc_thresh3");
        raise(&file, 5).unwrap();
        assert!(!file.exists());
        fs::write(&file, "4\n").unwrap();
        raise(&file, 5).unwrap();
        raise(&file, 3).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "5");
    }
}
