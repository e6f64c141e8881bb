//! The rewriting of atoms agrees with the decoder: what it takes apart and puts together again is
//! what it was, and any bytes are rewritten or refused.
#![no_main]

use bytes::BytesMut;
use enmesh_term::{Atom, CachedAtoms, CachedReader, Limits, compress_atoms, decode_bare, expand_atoms};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[count], data)) = data.split_first_chunk() else { return };
    let limits = Limits::default();
    let few = [Atom::from_static("a"), Atom::from_static("a longer one than fits in place")];

    let mut expanded = BytesMut::new();
    match expand_atoms(data, CachedAtoms::new(&few), 1 << 20, &mut expanded) {
        Ok((used, true)) => {
            assert!(used <= data.len() && expanded.len() <= 1 << 20);
            let term = decode_bare(&expanded, &limits);
            let read = CachedReader::new(&data[..used], CachedAtoms::new(&few)).term(&limits);
            assert_eq!(term.is_ok(), read.is_ok());
        }
        Ok((used, false)) => assert!(used <= data.len() && expanded.is_empty()),
        Err(_) => assert!(expanded.is_empty()),
    }

    let mut names: Vec<Atom> = Vec::new();
    let index = |name: &[u8]| {
        let name = Atom::new(std::str::from_utf8(name).ok()?).ok()?;
        let known = names.iter().position(|it| *it == name);
        let at = known.unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        u8::try_from(at).ok().filter(|&at| at < count)
    };
    let mut small = BytesMut::new();
    let compressed = compress_atoms(data, &mut small, index);
    let decoded = decode_bare(data, &limits);
    if decoded.is_ok() && data.first() != Some(&80) {
        assert_eq!(compressed, Ok(data.len()), "what the decoder takes can be rewritten");
    }
    if let Ok(used) = compressed {
        let mut again = BytesMut::new();
        let (taken, is_changed) = expand_atoms(&small, CachedAtoms::new(&names), usize::MAX, &mut again).unwrap();
        assert_eq!(taken, small.len());
        let again = if is_changed { &again[..] } else { &small[..] };
        if decoded.is_ok() {
            // An atom of fewer than 256 bytes has a long form too, which is not kept.
            assert_eq!(decode_bare(again, &limits).as_ref(), decoded.as_ref());
        }
        let _ = used;
    }
});
