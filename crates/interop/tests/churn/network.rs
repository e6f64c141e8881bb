//! Where the nodes live: BEAMs in one namespace, each guest in one of its own, so that one link alone can be cut.

use std::net::{IpAddr, Ipv4Addr};

use enmesh_interop::{Epmd, NetNs};

use crate::{BEAMS, MEMBERS};

/// The namespaces and their epmd.
pub(crate) struct Network {
    hall: NetNs,
    rooms: Vec<NetNs>,
    _epmds: Vec<Epmd>,
}

impl Network {
    pub(crate) fn new() -> Self {
        let hall = NetNs::new().unwrap();
        for number in 0..BEAMS {
            let address = format!("{}/32", address(number));
            hall.run("ip", ["address", "add", &address, "dev", "lo"])
                .unwrap();
        }
        hall.run("sysctl", ["-q", "-w", "net.ipv4.ip_forward=1"])
            .unwrap();
        let rooms: Vec<NetNs> = (BEAMS..BEAMS + MEMBERS)
            .map(|number| {
                let room = NetNs::new().unwrap();
                let gateway = format!("10.0.{number}.1");
                room.wire(
                    &format!("{}/24", address(number)),
                    &hall,
                    &format!("{gateway}/24"),
                )
                .unwrap();
                room.run("ip", ["route", "add", "default", "via", &gateway])
                    .unwrap();
                room
            })
            .collect();
        let epmds = [&hall]
            .into_iter()
            .chain(&rooms)
            .map(|ns| Epmd::start(ns).unwrap())
            .collect();
        Self {
            hall,
            rooms,
            _epmds: epmds,
        }
    }

    /// The namespace of a place.
    pub(crate) fn of(&self, number: usize) -> &NetNs {
        match number.checked_sub(BEAMS) {
            None => &self.hall,
            Some(room) => &self.rooms[room],
        }
    }
}

/// The address of a place.
pub(crate) fn address(number: usize) -> IpAddr {
    let number = u8::try_from(number).expect("there are few");
    if usize::from(number) < BEAMS {
        Ipv4Addr::new(10, 1, 0, 10 + number).into()
    } else {
        Ipv4Addr::new(10, 0, number, 2).into()
    }
}
