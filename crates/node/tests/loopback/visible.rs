//! What tests of visible members share.

use std::time::{Duration, Instant};

use enmesh::Node;

use crate::loopback::{PATIENCE, builder};

/// A visible member, started.
pub(crate) async fn visible(host: u8, port: u16) -> Node {
    let builder = builder(host, port).visible(true);
    builder.start().await.unwrap()
}

/// Waits until `read` gives what is wanted.
pub(crate) async fn until<T: PartialEq + std::fmt::Debug>(wanted: T, mut read: impl FnMut() -> T) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = read();
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} is not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
