use super::*;
use crate::{Strategy, TopologyConfig};

fn config(text: &str) -> GossipConfig {
    let topology = format!("strategy=gossip {text}").parse::<TopologyConfig>();
    match topology
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .strategy
    {
        Strategy::Gossip(config) => config,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(text: &str, message: &str) {
    let error = format!("strategy=gossip {text}").parse::<TopologyConfig>();
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with(message), "{text}: {error}");
}

#[test]
fn the_defaults_are_libcluster_s() {
    assert_eq!(config(""), GossipConfig::default());
    let defaults = GossipConfig::default();
    assert_eq!(defaults.port, 45892);
    assert_eq!(defaults.if_addr.to_string(), "0.0.0.0");
    assert_eq!(defaults.multicast_addr.to_string(), "233.252.1.32");
    assert_eq!(
        (defaults.multicast_ttl, defaults.broadcast_only),
        (1, false)
    );
    let named: TopologyConfig = "strategy=Cluster.Strategy.Gossip".parse().unwrap();
    assert_eq!(named.strategy.name(), "gossip");
}

#[test]
fn either_address_of_ipv6_brings_the_other() {
    let by_interface = config("if_addr=::");
    assert_eq!(
        by_interface.multicast_addr.to_string(),
        "ff12::656e:6d65:7368"
    );
    assert_eq!(config("multicast_addr=ff12::656e:6d65:7368"), by_interface);
    assert_eq!(
        config("if_addr=:: multicast_if=eth0.7")
            .multicast_if
            .as_deref(),
        Some("eth0.7")
    );
}

#[test]
fn all_keys_are_taken_and_written_again() {
    let text = "port=4000 if_addr=10.0.0.1 multicast_addr=239.1.2.3 multicast_if=192.168.1.1 \
                multicast_ttl=7 secret_file=/run/secret auth=require";
    let topology: TopologyConfig = format!("strategy=gossip {text}").parse().unwrap();
    assert_eq!(topology.to_string().parse(), Ok(topology.clone()));
    for pair in text.split_whitespace() {
        assert!(
            topology.to_string().contains(pair),
            "{topology} has no {pair}"
        );
    }
    let broadcast = config("broadcast_only=true multicast_addr=192.168.1.255");
    assert!(broadcast.broadcast_only);
}

#[test]
fn what_cannot_work_is_refused_with_the_fix() {
    refused("port=0", "`0` is not allowed for key `port`");
    refused("port=65536", "`65536` is not allowed for key `port`");
    refused("if_addr=eth0", "`eth0` is not allowed for key `if_addr`");
    refused(
        "multicast_addr=10.0.0.1",
        "`10.0.0.1` is not allowed for key `multicast_addr`",
    );
    refused(
        "if_addr=:: multicast_addr=233.252.1.32",
        "`233.252.1.32` is not allowed",
    );
    refused(
        "multicast_ttl=256",
        "`256` is not allowed for key `multicast_ttl`",
    );
    refused(
        "multicast_if=eth0",
        "`eth0` is not allowed for key `multicast_if`",
    );
    refused(
        "if_addr=:: multicast_if=../eth0",
        "`../eth0` is not allowed",
    );
    refused("if_addr=:: multicast_if=..", "`..` is not allowed");
    refused(
        "broadcast_only=yes",
        "`yes` is not allowed for key `broadcast_only`",
    );
    refused(
        "auth=sometimes",
        "`sometimes` is not allowed for key `auth`",
    );
    refused(
        "auth=require",
        "`require` is not allowed for key `auth`: require only together with key `secret`",
    );
    refused(
        "secret=a secret_file=/b",
        "`/b` is not allowed for key `secret_file`",
    );
    // It would hear nobody: broadcasts do not come to the group's address.
    refused(
        "broadcast_only=true",
        "`233.252.1.32` is not allowed for key `multicast_addr`: with broadcast_only a broadcast",
    );
}

#[test]
fn a_secret_is_never_shown() {
    let topology: TopologyConfig = "strategy=gossip secret=abracadabra".parse().unwrap();
    let shown = [
        topology.to_string(),
        format!("{topology:?}"),
        toml::to_string(&topology).unwrap(),
    ];
    for shown in shown {
        assert!(!shown.contains("abra"), "{shown}");
    }
    // What was written in its place is no secret, and does not silently become one.
    refused(
        "secret=(hidden)",
        "`(hidden)` is not allowed for key `secret`: a text of 1 to 4096 bytes, which is never",
    );
    assert!(topology.to_string().parse::<TopologyConfig>().is_err());
    let long = format!("strategy=gossip secret={}", "abra".repeat(2_000));
    let error = long.parse::<TopologyConfig>().unwrap_err().to_string();
    assert!(!error.contains("abra"), "{error}");
    let table = "strategy = \"gossip\"\nsecret = [\"abra\"]";
    let error = toml::from_str::<TopologyConfig>(table).unwrap_err();
    assert!(!error.message().contains("abra"), "{error}");
}

#[test]
fn a_secret_comes_from_a_file_too() {
    let context = SourceContext::new("a@b".parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let config = config(&format!("secret_file={} auth=require", path.display()));
    assert!(matches!(
        config.source(&context),
        Err(SourceError::Unreadable { .. })
    ));
    std::fs::write(&path, "abracadabra\n").unwrap();
    assert!(config.source(&context).is_ok());
}
