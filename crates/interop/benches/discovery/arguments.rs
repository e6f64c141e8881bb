//! What a bench is told on its command line: flags, each with a value.

use anyhow::{Context, Result, ensure};

/// Gives each flag and its value to `take`, which says whether there is such a flag.
pub(crate) fn each(mut take: impl FnMut(&str, &str) -> Result<bool>) -> Result<()> {
    // cargo adds a flag of its own to what it runs.
    let arguments = std::env::args().skip(1);
    let mut arguments = arguments.filter(|argument| argument != "--bench");
    while let Some(flag) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{flag} needs a value"))?;
        let is_known = take(&flag, &value).with_context(|| format!("{flag} {value}"))?;
        ensure!(is_known, "{flag} is not understood");
    }
    Ok(())
}
