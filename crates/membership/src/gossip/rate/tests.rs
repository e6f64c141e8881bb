#![allow(clippy::disallowed_methods, reason = "tests begin somewhere in time")]

use std::net::Ipv4Addr;

use super::*;

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + number).into()
}

/// How many packets of `from` are let in when `count` come at once.
fn admitted(limits: &mut RateLimits, now: Instant, from: IpAddr, count: usize) -> usize {
    (0..count).filter(|_| limits.admit(now, from)).count()
}

#[test]
fn an_address_has_two_hundred_at_once_and_a_hundred_a_second() {
    let (mut limits, begin) = (RateLimits::default(), Instant::now());
    assert_eq!(admitted(&mut limits, begin, address(1), 1_000), 200);
    // Another one is not held up.
    assert_eq!(admitted(&mut limits, begin, address(2), 5), 5);
    let later = begin + Duration::from_secs(1);
    assert_eq!(admitted(&mut limits, later, address(1), 1_000), 100);
}

#[test]
fn nobody_is_shut_out_for_good() {
    let (mut limits, mut now) = (RateLimits::default(), Instant::now());
    for _ in 0..600 {
        admitted(&mut limits, now, address(1), 1_000);
        now += Duration::from_secs(1);
    }
    now += Duration::from_secs(2);
    assert_eq!(admitted(&mut limits, now, address(1), 1_000), 200);
}

#[test]
fn a_flood_from_everywhere_does_not_silence_those_who_were_right_before() {
    let (mut limits, begin) = (RateLimits::default(), Instant::now());
    assert!(limits.admit(begin, address(0)));
    limits.trust(begin, address(0));
    let mut now = begin;
    for second in 0..10 {
        let flood =
            (1..20_000).filter(|&number| limits.admit(now, address(second * 200_000 + number)));
        let looked_into = flood.count();
        assert!((1..=4_000).contains(&looked_into), "{looked_into}");
        assert!(limits.sources.len() <= MAX_SOURCES);
        assert!(limits.admit(now, address(0)), "second {second}");
        limits.trust(now, address(0));
        now += Duration::from_secs(1);
    }
}

#[test]
fn a_full_table_makes_room_for_newcomers() {
    let (mut limits, begin) = (RateLimits::default(), Instant::now());
    for number in 0..5_000 {
        limits.admit(begin, address(number));
    }
    assert_eq!(limits.sources.len(), MAX_SOURCES);
    assert!(!limits.sources.contains_key(&address(5_000)));
    let later = begin + Duration::from_secs(5);
    assert!(limits.admit(later, address(5_000)));
    assert!(limits.sources.contains_key(&address(5_000)));
    assert_eq!(limits.sources.len(), 1);
}
