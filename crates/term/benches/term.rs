//! Speed of decoding and encoding, against OTP itself and two other Rust codecs, on the same
//! bytes and in the same run: `cargo bench -p enmesh-term`.
//!
//! Before divan's own tables a table of ratios is printed, each measured in turns (OTP, ours,
//! OTP, ours, …), the best turn of each counting, because the machine is shared. OTP's time is
//! that of its own function in a loop in one process, garbage collection included.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use enmesh_term::{Limits, Term, TermRef, decode, decode_ref, decode_shared, encode};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

/// A thousand maps as an application sends them.
fn thousand_maps() -> Vec<u8> {
    let user = |id: i64| {
        Term::Map(vec![
            (Term::atom("id"), Term::Int(id)),
            (
                Term::atom("name"),
                Term::binary(format!("user number {id}")),
            ),
            (
                Term::atom("email"),
                Term::binary(format!("user{id}@example.org")),
            ),
            (Term::atom("active"), Term::from(id % 2 == 0)),
            (Term::atom("score"), Term::Float(id as f64 * 1.5)),
            (
                Term::atom("tags"),
                Term::list([Term::atom("staff"), Term::atom("admin")]),
            ),
            (
                Term::atom("seen"),
                Term::tuple([2026.into(), 11.into(), 21.into()]),
            ),
        ])
    };
    encode(&Term::List((0..1000).map(user).collect()))
}

/// What two nodes say to each other most: a small call.
fn call() -> Vec<u8> {
    let node = enmesh_term::Atom::from_static("web@10.0.0.1");
    let pid = enmesh_term::Pid::new(node.clone(), 117, 0, 1_700_000_000);
    let ids = [161_234, 2_345_678, 345_678_901];
    let tag = enmesh_term::Reference::new(node, 1_700_000_000, &ids).expect("three words");
    let request = Term::tuple([Term::atom("get"), Term::binary("key-1")]);
    let from = Term::tuple([pid.into(), tag.into()]);
    encode(&Term::tuple([Term::atom("$gen_call"), from, request]))
}

/// Looks at every leaf, so that lazy elements are read.
fn visit(view: TermRef<'_>) -> usize {
    match view {
        TermRef::List(list) => list.iter().map(visit).sum(),
        TermRef::Tuple(tuple) => tuple.iter().map(visit).sum(),
        TermRef::Map(map) => map
            .iter()
            .map(|(key, value)| visit(key) + visit(value))
            .sum(),
        TermRef::Binary(bytes) => bytes.len(),
        TermRef::Int(int) => int as usize & 1,
        _ => 1,
    }
}

fn limits() -> Limits {
    Limits::default()
}

/// Nanoseconds that one call of `work` takes, over as many as fit 150 ms.
fn time<T>(mut work: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed().as_millis() < 150 {
        black_box(work());
        rounds += 1;
    }
    start.elapsed().as_nanos() as f64 / f64::from(rounds)
}

/// The same for one of OTP's functions on `bytes`.
fn time_otp(function: &str, bytes: &[u8]) -> f64 {
    let path = std::env::temp_dir().join(format!("enmesh-term-bench-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    let program = format!(
        r#"{{ok, B}} = file:read_file("{}"), T = binary_to_term(B),
        Loop = fun L(0, _) -> ok; L(N, F) -> F(), L(N - 1, F) end,
        F = {function},
        N = max(10, 100000000 div max(1, byte_size(B) * 10)),
        Self = self(),
        spawn_opt(fun() -> Loop(N div 10, F), {{Time, _}} = timer:tc(fun() -> Loop(N, F) end),
            Self ! {{took, Time}} end, [{{min_heap_size, 1000000}}]),
        receive {{took, Time}} -> io:format("~p", [Time * 1000 / N]) end, halt()."#,
        path.display()
    );
    let output = Command::new("erl")
        .args(["-noshell", "-eval", &program])
        .output();
    let output = output.expect("erl starts: install erlang-base");
    std::fs::remove_file(&path).expect("our own file");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("erl said {text}"))
}

/// One row: what, and the function that measures it once.
type Row<'a> = (&'static str, Box<dyn FnMut() -> f64 + 'a>);

/// Measures the rows in turns and prints each against the first.
fn compare(title: &str, len: usize, mut rows: Vec<Row<'_>>) {
    const TURNS: usize = 3;
    let mut best = vec![f64::INFINITY; rows.len()];
    for _ in 0..TURNS {
        for (best, (_, measure)) in best.iter_mut().zip(&mut rows) {
            *best = best.min(measure());
        }
    }
    println!("{title}, {len} bytes");
    for ((name, _), nanos) in rows.iter().zip(&best) {
        let megabytes = len as f64 * 1000.0 / nanos;
        println!(
            "  {name:<26}{nanos:>12.0} ns {megabytes:>8.0} MB/s {:>7.2}x",
            best[0] / nanos
        );
    }
    println!();
}

fn ratios(title: &str, bytes: &[u8]) {
    let shared = Bytes::copy_from_slice(bytes);
    let term = decode(bytes, &limits()).expect("our own");
    let eetf = eetf::Term::decode(bytes).expect("eetf reads it");
    let erltf = erltf::decode(bytes).expect("erltf reads it");
    compare(
        &format!("decode {title}"),
        bytes.len(),
        vec![
            (
                "OTP binary_to_term",
                Box::new(|| time_otp("fun() -> binary_to_term(B) end", bytes)),
            ),
            ("owned", Box::new(|| time(|| decode(bytes, &limits())))),
            (
                "owned, binaries shared",
                Box::new(|| time(|| decode_shared(&shared, &limits()))),
            ),
            (
                "borrowed",
                Box::new(|| time(|| decode_ref(bytes, &limits()).map(|_| ()))),
            ),
            (
                "borrowed, every leaf read",
                Box::new(|| time(|| decode_ref(bytes, &limits()).map(visit))),
            ),
            ("eetf", Box::new(|| time(|| eetf::Term::decode(bytes)))),
            ("erltf", Box::new(|| time(|| erltf::decode(bytes)))),
        ],
    );
    compare(
        &format!("encode {title}"),
        bytes.len(),
        vec![
            (
                "OTP term_to_binary",
                Box::new(|| time_otp("fun() -> term_to_binary(T) end", bytes)),
            ),
            ("ours", Box::new(|| time(|| encode(&term)))),
            (
                "eetf",
                Box::new(|| {
                    time(|| {
                        let mut out = Vec::new();
                        eetf.encode(&mut out).map(|()| out)
                    })
                }),
            ),
            ("erltf", Box::new(|| time(|| erltf::encode(&erltf)))),
        ],
    );
}

fn main() {
    ratios("1,000 maps", &thousand_maps());
    ratios("a gen_server call", &call());
    divan::main();
}

type Input = (&'static str, fn() -> Vec<u8>);

const INPUTS: [Input; 2] = [("1000_maps", thousand_maps), ("call", call)];

fn input(name: &str) -> Vec<u8> {
    INPUTS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a known input")
        .1()
}

#[divan::bench(args = INPUTS.map(|(name, _)| name))]
fn decode_owned(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = input(name);
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| decode(&bytes, &limits()));
}

#[divan::bench(args = INPUTS.map(|(name, _)| name))]
fn decode_owned_shared(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = Bytes::from(input(name));
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| decode_shared(&bytes, &limits()));
}

#[divan::bench(args = INPUTS.map(|(name, _)| name))]
fn decode_borrowed(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = input(name);
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| decode_ref(&bytes, &limits()).map(visit));
}

#[divan::bench(args = INPUTS.map(|(name, _)| name))]
fn encode_owned(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = input(name);
    let term = decode(&bytes, &limits()).expect("our own");
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| encode(&term));
}
