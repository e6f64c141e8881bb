//! Any bytes are a term or an error, all decoders agree, and what was read can be written and
//! read again: `cargo +nightly fuzz run term`.

#![no_main]

use bytes::Bytes;
use enmesh_term::{DecodeError, Limits, TermRef, decode, decode_ref, decode_shared, encode};
use libfuzzer_sys::fuzz_target;

fn walk(view: TermRef<'_>) -> usize {
    match view {
        TermRef::List(list) => {
            let mut iter = list.iter();
            let count: usize = iter.by_ref().map(walk).sum();
            count + iter.improper_tail().map_or(0, walk)
        }
        TermRef::Tuple(tuple) => tuple.iter().map(walk).sum(),
        TermRef::Map(map) => map.iter().map(|(key, value)| walk(key) + walk(value)).sum(),
        TermRef::Record(record) => record.iter().map(|(_, value)| walk(value)).sum(),
        _ => 1,
    }
}

fuzz_target!(|input: &[u8]| {
    let bytes = [&[131], input].concat();
    let limits = Limits::default().with_max_bytes(1 << 20);
    let owned = decode(&bytes, &limits);
    assert_eq!(decode_shared(&Bytes::from(bytes.clone()), &limits), owned);
    match decode_ref(&bytes, &limits) {
        Ok(view) => {
            walk(view);
            assert_eq!(view.to_term(), owned);
        }
        Err(DecodeError::Compressed) => {}
        Err(_) => assert!(owned.is_err()),
    }
    if let Ok(term) = &owned {
        assert_eq!(&decode(&encode(term), &limits).expect("our own bytes"), term);
        assert!(term.cmp(term).is_eq());
        let _ = format!("{term}");
    }
});
