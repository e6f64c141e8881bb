//! The end of a member that was told to leave from within its own container.

use std::path::Path;
use std::time::Duration;

/// How long the others may take to end. They have nothing to do any more but to say how it went.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often they are looked for meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until the other processes of our container have ended, or for a while.
///
/// The first process of a container takes all others with it: an `enmesh leave` of a preStop hook, which waits for our end,
/// would be killed by it before it could tell that all went well, and Kubernetes would report a failed hook.
pub(crate) async fn wait_for_others() {
    if std::process::id() != 1 {
        return;
    }
    let gone = async {
        while has_others(Path::new("/proc")) {
            tokio::time::sleep(LOOK).await;
        }
    };
    // Whoever stays longer has another reason to, and is not waited for.
    let _ = tokio::time::timeout(PATIENCE, gone).await;
}

/// Whether this folder of processes has any but the first.
fn has_others(proc: &Path) -> bool {
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| {
        let number = name.to_str().and_then(|name| name.parse::<u32>().ok());
        number.is_some_and(|number| number != 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_processes_that_are_not_the_first() {
        let proc = tempfile::tempdir().unwrap();
        let has = |names: &[&str]| {
            for name in names {
                std::fs::create_dir(proc.path().join(name)).unwrap();
            }
            has_others(proc.path())
        };
        assert!(!has(&["1", "self", "meminfo"]));
        assert!(has(&["17"]));
        assert!(!has_others(Path::new("/nonexistent")));
    }
}
