//! Whatever comes over a socket of epmd, in chunks, is a request or an answer or an error.
#![no_main]

use enmesh_proto::epmd::{AliveReply, NamesReply, PortReply, Request, RequestDecoder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&chunk, data)) = data.split_first() else { return };
    let mut decoder = RequestDecoder::new();
    for bytes in data.chunks(usize::from(chunk).max(1)) {
        match decoder.feed(bytes) {
            Ok(None) => {}
            Ok(Some(request)) => {
                let mut again = RequestDecoder::new();
                assert_eq!(again.feed(&request.encode()), Ok(Some(request)));
                break;
            }
            Err(_) => break,
        }
    }
    let _ = Request::decode(data);
    let _ = AliveReply::decode(data);
    if let Ok(Some(reply)) = PortReply::decode(data) {
        assert_eq!(PortReply::decode(&reply.encode()), Ok(Some(reply)));
    }
    if let Ok(reply) = NamesReply::decode(data) {
        assert_eq!(NamesReply::decode(&reply.encode()), Ok(reply));
    }
});
