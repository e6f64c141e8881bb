//! A Rust program as a node beside BEAM nodes: the library in this process.

use std::future::Future;

use enmesh::{Cookie, Node};
use enmesh_interop::NetNs;
use tokio::runtime::Builder;

use crate::bench::COOKIE;

/// A visible node of this process whose sockets are in `ns`.
pub(crate) fn rust_node(ns: &NetNs, name: &str) -> Node {
    let builder = Node::builder(name.parse().unwrap(), Cookie::new(COOKIE).unwrap());
    let start = || block_on(builder.visible(true).start());
    ns.enter(start).unwrap().unwrap()
}

/// Waits on this thread. The node needs no runtime of its user, so one for a moment will do.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.unwrap().block_on(future)
}

/// The same for what has sockets of its own.
pub(crate) fn block_on_io<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}
