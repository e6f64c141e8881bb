//! The same in JSON: a list of names and objects, or objects one after the other. An object has
//! the keys that `enmesh discover --output json` writes.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{Sighting, Standing};
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{at, shown};

pub(super) fn list(text: &str) -> serde_json::Result<Vec<Sighting>> {
    let entries: Vec<Entry> = serde_json::from_str(text)?;
    Ok(entries.into_iter().map(|Entry(seen)| seen).collect())
}

/// Objects with white space between them, as programs write that print one a line.
pub(super) fn objects(text: &str) -> serde_json::Result<Vec<Sighting>> {
    let objects = serde_json::Deserializer::from_str(text).into_iter::<Entry>();
    objects.map(|entry| entry.map(|Entry(seen)| seen)).collect()
}

struct Entry(Sighting);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    name: String,
    #[serde(default)]
    address: Option<IpAddr>,
    #[serde(default)]
    port: Option<NonZeroU16>,
    #[serde(default)]
    standing: Word,
    /// Who found the peer is of no use to us.
    #[serde(default, rename = "topologies")]
    _topologies: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    #[default]
    Ready,
    Unready,
    Silent,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node name, or an object with `name` and perhaps `address` and `port`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Entry, E> {
        Ok(Entry(name(text)?.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Entry, A::Error> {
        let object = Object::deserialize(MapAccessDeserializer::new(entries))?;
        let peer = PeerAddr::new(name(&object.name)?);
        let peer = at(peer, object.address, object.port.map(NonZeroU16::get));
        let standing = match object.standing {
            Word::Ready => Standing::Ready,
            Word::Unready => Standing::Unready,
            Word::Silent => Standing::Silent,
        };
        Ok(Entry(Sighting::from(peer).with_standing(standing)))
    }
}

fn name<E: serde::de::Error>(text: &str) -> Result<NodeName, E> {
    let refused = |_| E::custom(format_args!("`{}` is no node name", shown(text)));
    text.parse().map_err(refused)
}
