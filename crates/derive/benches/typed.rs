//! Bytes to Rust values and back, straight and by way of an owned tree.

use bytes::BytesMut;
use divan::{AllocProfiler, Bencher, black_box};
use enmesh_derive::{FromTerm, ToTerm};
use enmesh_term::{Encoder, FromTerm, Limits, ToTerm, decode, decode_ref, encode_into};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[derive(ToTerm, FromTerm)]
enum Request {
    Order(Order),
}

#[derive(ToTerm, FromTerm)]
#[term(struct = "Elixir.Shop.Order")]
struct Order {
    id: u64,
    customer: String,
    paid: Option<bool>,
    lines: Vec<Line>,
}

#[derive(ToTerm, FromTerm)]
#[term(record = "line")]
struct Line {
    item: String,
    count: u32,
    price: f64,
}

/// An order of so many lines.
const LINES: [usize; 2] = [1, 100];

fn request(lines: usize) -> Request {
    let line = |at| Line {
        item: format!("an item of number {at}"),
        count: 3,
        price: 12.5,
    };
    Request::Order(Order {
        id: 4711,
        customer: "joe@example.com".into(),
        paid: None,
        lines: (0..lines).map(line).collect(),
    })
}

#[divan::bench(args = LINES)]
fn read_straight(bencher: Bencher<'_, '_>, lines: usize) {
    let bytes = enmesh_term::encode(&request(lines).to_term());
    bencher.bench(|| {
        let view = decode_ref(black_box(&bytes), &Limits::default()).expect("a term");
        Request::from_ref(view).expect("a request")
    });
}

#[divan::bench(args = LINES)]
fn read_by_a_tree(bencher: Bencher<'_, '_>, lines: usize) {
    let bytes = enmesh_term::encode(&request(lines).to_term());
    bencher.bench(|| {
        let term = decode(black_box(&bytes), &Limits::default()).expect("a term");
        Request::from_term(&term).expect("a request")
    });
}

#[divan::bench(args = LINES)]
fn write_straight(bencher: Bencher<'_, '_>, lines: usize) {
    let request = request(lines);
    let mut out = BytesMut::with_capacity(1 << 16);
    bencher.bench_local(|| {
        out.clear();
        black_box(&request).encode_with(&mut Encoder::new(&mut out));
    });
}

#[divan::bench(args = LINES)]
fn write_by_a_tree(bencher: Bencher<'_, '_>, lines: usize) {
    let request = request(lines);
    let mut out = BytesMut::with_capacity(1 << 16);
    bencher.bench_local(|| {
        out.clear();
        encode_into(&black_box(&request).to_term(), &mut out);
    });
}
