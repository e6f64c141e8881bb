//! Latency and allocations of decoding and encoding: `cargo bench -p enmesh-term --bench term`.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use enmesh_term::{Limits, decode, decode_ref, decode_shared, encode};

mod input;

use input::{call, thousand_maps, visit};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

fn limits() -> Limits {
    Limits::default()
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
