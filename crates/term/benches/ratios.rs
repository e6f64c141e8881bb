//! Decoding and encoding against OTP itself and two other Rust codecs, on the same bytes and in
//! the same run: `cargo bench -p enmesh-term --bench ratios`.
//!
//! Each is measured in turns (OTP, ours, …, OTP, ours, …), the best turn of each counting, and by
//! the processor's time, because the machine is shared. OTP's figure is that of its own function
//! in a compiled loop, garbage collection included; ours includes the freeing of the result.

use std::hint::black_box;
use std::process::Command;

use bytes::Bytes;
use enmesh_term::{Limits, decode, decode_ref, decode_shared, encode};

mod input;

use input::visit;

fn limits() -> Limits {
    Limits::default()
}

/// Nanoseconds for which this thread has run so far.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("linux");
    stat.split(' ')
        .next()
        .and_then(|nanos| nanos.parse().ok())
        .expect("a number")
}

/// Nanoseconds that one call of `work` takes, over as many as take a tenth of a second at least.
fn time<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut rounds = 10;
    loop {
        let start = processor_time();
        for _ in 0..rounds {
            black_box(work());
        }
        let took = processor_time() - start;
        if took > 1e8 {
            return took / f64::from(rounds);
        }
        rounds *= 2;
    }
}

/// The same for one of OTP's functions on `bytes`.
fn time_otp(function: &str, bytes: &[u8]) -> f64 {
    let path = std::env::temp_dir().join(format!("enmesh-term-bench-{}", std::process::id()));
    let script = path.with_extension("escript");
    std::fs::write(&path, bytes).expect("a temporary file");
    let rounds = 200_000_000 / (bytes.len() * 7 + 500);
    let program = format!(
        r#"#!/usr/bin/env escript
-mode(compile).
main([Path]) ->
    {{ok, B}} = file:read_file(Path),
    T = binary_to_term(B),
    work(B, T, {rounds} div 10),
    {{Start, _}} = statistics(runtime),
    work(B, T, {rounds}),
    {{End, _}} = statistics(runtime),
    io:format("~p", [(End - Start) * 1.0e6 / {rounds}]).
% Stored, or the compiler leaves out what nobody looks at.
keep(Result) -> put(result, Result).
work(_, _, 0) -> ok;
work(B, T, N) -> {function}, work(B, T, N - 1).
"#
    );
    std::fs::write(&script, program).expect("a temporary file");
    let output = Command::new("escript").arg(&script).arg(&path).output();
    let output = output.expect("escript starts: install erlang-base");
    for file in [&path, &script] {
        std::fs::remove_file(file).expect("our own file");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("the node said {text}"))
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
                Box::new(|| time_otp("keep(binary_to_term(B))", bytes)),
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
                Box::new(|| time_otp("keep(term_to_binary(T))", bytes)),
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
    ratios("1,000 maps", &input::thousand_maps());
    ratios("a gen_server call", &input::call());
}
