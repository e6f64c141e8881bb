//! The list as text.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;

use enmesh_identity::PeerAddr;
use serde_json::{Value, json};

use super::Output;
use super::found::{Found, word};

/// The list in the form that was asked for, each line ended.
pub(super) fn list(found: &[Found], output: Output) -> String {
    match output {
        Output::Table => table(found),
        Output::Names => lines(found.iter().map(|found| found.seen.name().to_string())),
        Output::Addresses => {
            let addresses: BTreeSet<_> =
                found.iter().map(|found| place(&found.seen.peer)).collect();
            lines(addresses)
        }
        Output::Json => {
            let objects: Vec<_> = found.iter().map(object).collect();
            format!("{:#}\n", Value::from(objects))
        }
    }
}

fn lines(items: impl IntoIterator<Item = String>) -> String {
    items
        .into_iter()
        .fold(String::new(), |text, item| text + &item + "\n")
}

/// Where to dial, as far as it is known.
fn place(peer: &PeerAddr) -> String {
    match (peer.address(), peer.port()) {
        (Some(address), Some(port)) => SocketAddr::new(address, port).to_string(),
        (Some(address), None) => address.to_string(),
        (None, Some(port)) => format!("{}:{port}", peer.name().host().as_str()),
        (None, None) => peer.name().host().as_str().to_owned(),
    }
}

fn object(found: &Found) -> Value {
    let peer = &found.seen.peer;
    let topologies: Vec<_> = found.topologies.iter().map(|name| name.as_str()).collect();
    json!({
        "name": peer.name().as_str(),
        "address": peer.address().map(|address| address.to_string()),
        "port": peer.port(),
        "standing": word(found.seen.standing),
        "topologies": topologies,
    })
}

fn table(found: &[Found]) -> String {
    const HEAD: [&str; 5] = ["NAME", "ADDRESS", "PORT", "STANDING", "TOPOLOGIES"];
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(found.iter().map(row));
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for [name, address, port, standing, topologies] in &rows {
        let [first, second, third, fourth] = widths;
        // Writing to a String never fails.
        let _ = writeln!(
            text,
            "{name:first$}  {address:second$}  {port:third$}  {standing:fourth$}  {topologies}"
        );
    }
    text
}

fn row(found: &Found) -> [String; 5] {
    let peer = &found.seen.peer;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let topologies: Vec<_> = found.topologies.iter().map(|name| name.as_str()).collect();
    [
        peer.name().to_string(),
        or_dash(peer.address().map(|address| address.to_string())),
        or_dash(peer.port().map(|port| port.to_string())),
        word(found.seen.standing).to_owned(),
        topologies.join(","),
    ]
}

#[cfg(test)]
mod tests {
    use enmesh_membership::Sighting;

    use super::*;

    fn found() -> Vec<Found> {
        let peer = |name: &str| PeerAddr::new(name.parse().unwrap());
        let here = peer("a@h").with_address("fd00::1".parse().unwrap());
        let peers = [here.with_port(9), peer("web@10.0.0.1"), peer("c@db")];
        let topologies = vec!["x".parse().unwrap(), "y".parse().unwrap()];
        peers
            .into_iter()
            .map(|peer| Found {
                seen: Sighting::from(peer),
                topologies: topologies.clone(),
            })
            .collect()
    }

    #[test]
    fn every_form_has_one_peer_a_line() {
        assert_eq!(
            list(&found(), Output::Table),
            "NAME          ADDRESS   PORT  STANDING  TOPOLOGIES\n\
             a@h           fd00::1   9     ready     x,y\n\
             web@10.0.0.1  10.0.0.1  -     ready     x,y\n\
             c@db          -         -     ready     x,y\n"
        );
        assert_eq!(list(&found(), Output::Names), "a@h\nweb@10.0.0.1\nc@db\n");
        assert_eq!(
            list(&found(), Output::Addresses),
            "10.0.0.1\n[fd00::1]:9\ndb\n"
        );
    }

    #[test]
    fn json_is_a_list_also_of_nobody() {
        assert_eq!(list(&[], Output::Json), "[]\n");
        let text = list(&found(), Output::Json);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0]["address"], "fd00::1");
        assert_eq!(value[1]["port"], Value::Null);
    }
}
