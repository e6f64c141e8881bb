//! Who was heard of, and when last.

use std::collections::BTreeMap;
use std::time::Duration;

use enmesh_identity::NodeName;
use enmesh_membership::{Sighting, Standing, Update};
use tokio::time::Instant;

use crate::source::MAX_PEERS_PER_UPDATE;

/// A name that is silent for so long is no longer dialled while its link is down.
const SILENCE: Duration = Duration::from_secs(60);

/// The same, in heartbeats of nodes that speak as seldom as we do.
const SILENT_HEARTBEATS: u32 = 6;

/// Names and when they were heard. Silence takes nobody away: a node may have lost the database
/// and nothing else.
#[derive(Debug)]
pub(super) struct Heard {
    own: NodeName,
    patience: Duration,
    peers: BTreeMap<NodeName, Peer>,
}

#[derive(Debug)]
struct Peer {
    at: Instant,
    silent: bool,
}

impl Heard {
    pub(super) fn new(own: NodeName, heartbeat: Duration) -> Self {
        Self {
            own,
            patience: SILENCE.max(heartbeat.saturating_mul(SILENT_HEARTBEATS)),
            peers: BTreeMap::new(),
        }
    }

    /// Takes what came through the channel; whoever may write there may write anything.
    pub(super) fn hear(&mut self, now: Instant, payload: &str) -> Option<Update> {
        let name: NodeName = payload.parse().ok()?;
        if name == self.own {
            return None;
        }
        let silent = false;
        if let Some(peer) = self.peers.get_mut(&name) {
            peer.at = now;
            let was_silent = std::mem::replace(&mut peer.silent, silent);
            return was_silent.then(|| present(name, Standing::Ready));
        }
        if self.peers.len() >= MAX_PEERS_PER_UPDATE {
            // A name that nobody has spoken for in long makes room, else the new one is left out.
            let silent = self.peers.iter().find(|(_, peer)| peer.silent);
            let out = silent.map(|(name, _)| name.clone())?;
            self.peers.remove(&out);
        }
        self.peers.insert(name.clone(), Peer { at: now, silent });
        Some(present(name, Standing::Ready))
    }

    /// Says who has fallen silent by now.
    pub(super) fn fall_silent(&mut self, now: Instant) -> Option<Update> {
        let patience = self.patience;
        let fallen: Vec<Sighting> = self
            .peers
            .iter_mut()
            .filter(|(_, peer)| !peer.silent && now.duration_since(peer.at) >= patience)
            .map(|(name, peer)| {
                peer.silent = true;
                Sighting::from(name.clone()).with_standing(Standing::Silent)
            })
            .collect();
        let gone = Vec::new();
        let present = fallen;
        (!present.is_empty()).then_some(Update::Changed { present, gone })
    }

    /// When the next falls silent.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let speaking = self.peers.values().filter(|peer| !peer.silent);
        speaking.map(|peer| peer.at + self.patience).min()
    }

    /// While we heard nothing at all, nobody's silence meant anything.
    pub(super) fn forgive(&mut self, now: Instant) {
        for peer in self.peers.values_mut().filter(|peer| !peer.silent) {
            peer.at = now;
        }
    }
}

fn present(name: NodeName, standing: Standing) -> Update {
    Update::Changed {
        present: vec![Sighting::from(name).with_standing(standing)],
        gone: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard() -> Heard {
        Heard::new("own@h".parse().unwrap(), Duration::from_secs(5))
    }

    fn said(update: Option<Update>) -> Vec<String> {
        match update {
            None => Vec::new(),
            Some(Update::Changed { present, gone }) => {
                assert!(gone.is_empty());
                present.iter().map(Sighting::to_string).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_is_said_when_it_is_new_and_when_it_speaks_again() {
        let (mut heard, begin) = (heard(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(said(heard.hear(after(0), "a@h")), ["a@h"]);
        assert_eq!(said(heard.hear(after(30), "a@h")), [""; 0]);
        assert_eq!(said(heard.fall_silent(after(89))), [""; 0]);
        assert_eq!(heard.deadline(), Some(after(90)));
        let silent = said(heard.fall_silent(after(90)));
        assert_eq!(silent, ["a@h, not heard of for long"]);
        assert_eq!(
            (heard.deadline(), heard.fall_silent(after(99))),
            (None, None)
        );
        assert_eq!(said(heard.hear(after(100), "a@h")), ["a@h"]);
    }

    #[test]
    fn silence_does_not_count_while_we_are_deaf() {
        let (mut heard, begin) = (heard(), Instant::now());
        heard.hear(begin, "a@h");
        let later = begin + Duration::from_secs(300);
        heard.forgive(later);
        assert_eq!(heard.fall_silent(later), None);
        assert_eq!(heard.deadline(), Some(later + SILENCE));
    }

    #[test]
    fn nobody_is_heard_in_what_is_no_name_or_our_own() {
        for text in ["", "a", "own@h", "a b@h", "a@h\n", "a@h@h"] {
            assert_eq!(heard().hear(Instant::now(), text), None, "{text}");
        }
    }

    #[test]
    fn no_more_names_are_kept_than_there_may_be() {
        let (mut heard, begin) = (heard(), Instant::now());
        for number in 0..MAX_PEERS_PER_UPDATE {
            heard.hear(begin, &format!("a{number}@h"));
        }
        assert_eq!(heard.hear(begin, "b@h"), None);
        heard.fall_silent(begin + SILENCE);
        assert_eq!(said(heard.hear(begin + SILENCE, "b@h")), ["b@h"]);
        assert_eq!(heard.peers.len(), MAX_PEERS_PER_UPDATE);
    }

    proptest! {
        #[test]
        fn any_payload_is_a_name_or_nothing(text in "\\PC{0,40}") {
            let update = heard().hear(Instant::now(), &text);
            prop_assert_eq!(update.is_some(), text.parse::<NodeName>().is_ok());
        }
    }
}
