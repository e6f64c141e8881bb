//! What is measured, and what is aimed at.

use enmesh_interop::{Better, Measure};

/// Which figure of a sample a line of the table shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    /// Operations a second.
    Rate,
    /// The slowest of a hundred operations, microseconds.
    P99,
    /// What one operation costs the side that serves, nanoseconds of CPU.
    ReceiverCpu,
}

/// One kind of work, and the lines of the table that come of it.
pub(crate) struct Row {
    /// The word that both halves know it by.
    pub(crate) name: &'static str,
    /// How many times the usual time it takes.
    pub(crate) longer: u32,
    pub(crate) measures: Vec<(Figure, Measure)>,
}

/// The least ratios wanted: Rust → Rust, Rust → BEAM, BEAM → Rust.
type Targets = [Option<f64>; 3];

const NONE: Targets = [None; 3];

/// The rows that are measured over TLS unless others are asked for: those that show what it costs.
pub(crate) const OVER_TLS: [&str; 4] = ["ping_1", "one_way_small", "one_way_64k", "connect"];

/// Every row, in the order of the table. Nothing is aimed at over TLS: the cipher, not the node, takes the time.
pub(crate) fn all(tls: bool) -> Vec<Row> {
    let mut rows = plain();
    if tls {
        for (_, measure) in rows.iter_mut().flat_map(|row| &mut row.measures) {
            measure.targets.clear();
        }
    }
    rows
}

fn plain() -> Vec<Row> {
    let to_both = |rust, beam| [Some(rust), Some(beam), Some(beam)];
    let mut small = rate(
        "one_way_small",
        "one-way `{hello,1,<<10 bytes>>}`",
        [Some(12.0), Some(3.5), Some(0.95)],
    );
    small.measures.push((
        Figure::ReceiverCpu,
        Measure {
            label: "— the receiver's CPU a message",
            unit: "ns",
            scale: 1.0,
            better: Better::Less,
            targets: vec![None, None, Some(5.0)],
        },
    ));
    vec![
        rate("ping_1", "ping-pong, 1 in flight", to_both(1.5, 1.15)),
        rate("ping_100", "ping-pong, 100 in flight", to_both(5.0, 1.3)),
        small,
        rate("one_way_1k", "one-way 1 KiB", to_both(8.0, 1.05)),
        rate("one_way_64k", "one-way 64 KiB", [Some(1.15), None, None]),
        rate("one_way_1m", "one-way 1 MiB", [Some(1.1), None, None]),
        beside_bulk(),
        rate(
            "call_1",
            "gen_server call, 1 caller",
            [Some(1.5), Some(1.1), None],
        ),
        rate(
            "call_100",
            "gen_server call, 100 callers",
            [Some(8.0), Some(2.0), None],
        ),
        rate("rpc_1", "rpc, 1 caller", [None, Some(1.0), None]),
        rate("rpc_100", "rpc, 100 callers", [None, Some(1.5), None]),
        rate("connect", "connect + disconnect", [Some(5.0), None, None]),
    ]
}

fn rate(name: &'static str, label: &'static str, targets: Targets) -> Row {
    let measure = Measure {
        label,
        unit: "/s",
        scale: 1.0,
        better: Better::More,
        targets: targets.to_vec(),
    };
    Row {
        name,
        longer: 1,
        measures: vec![(Figure::Rate, measure)],
    }
}

/// The promise is about the slowest small messages; how many there were is shown without one.
fn beside_bulk() -> Row {
    let mut row = rate(
        "ping_beside_64m",
        "ping-pong beside 64 MiB every 250 ms",
        NONE,
    );
    row.longer = 3;
    row.measures.push((
        Figure::P99,
        Measure {
            label: "— p99 at any moment",
            unit: "us",
            scale: 1.0,
            better: Better::Less,
            targets: vec![Some(1.0); 3],
        },
    ));
    row
}
