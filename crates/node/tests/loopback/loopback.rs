//! Members over loopback, without epmd: what every test of them begins with.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use enmesh::{Builder, Cookie, EpmdMode, Node, NodeName};

/// More than anything takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A port that is free on every loopback address now.
pub(crate) fn free_port() -> u16 {
    let any = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    any.local_addr().unwrap().port()
}

/// The name of the member on `127.0.0.host`.
pub(crate) fn name(host: u8) -> NodeName {
    format!("n{host}@127.0.0.{host}").parse().unwrap()
}

/// A hidden member that listens on its own address alone, so that all of them share one port.
pub(crate) fn builder(host: u8, port: u16) -> Builder {
    Node::builder(name(host), Cookie::new("secret").unwrap())
        .visible(false)
        .listen(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
        .dist_port(port)
        .epmd(EpmdMode::None)
}
