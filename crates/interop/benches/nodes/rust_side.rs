//! The Rust half: it serves every row, and drives every row against any peer, as `enmesh_bench.erl` does.

use anyhow::Result;

/// Names the node that this process is to be.
pub(crate) const ROLE: &str = "ENMESH_BENCH_NODE";

/// The cookie of every pair.
pub(crate) const COOKIE: &str = "bench";

/// Is a node until its standard input ends.
pub(crate) fn run(name: &str) -> Result<()> {
    anyhow::bail!("{name}: no rows yet")
}
