//! What the default adapter of Phoenix.PubSub (`Phoenix.PubSub.PG2`) says over pg.
//!
//! Every node's workers are members of the adapter's groups in the scope `Phoenix.PubSub`. To
//! broadcast is to send [`Broadcast`] to every member of one group that is on another node; each
//! worker hands it to the subscribers of its own node.

use enmesh_term::{Atom, AtomTooLong, Binary, Term};

/// The most workers of a pool.
pub const MAX_POOL: u16 = 1_024;

/// The names of a Phoenix.PubSub's adapter.
///
/// ```
/// use enmesh_otp::PubSubAdapter;
///
/// let adapter = PubSubAdapter::new("MyApp.PubSub", 2, 2)?;
/// assert_eq!(PubSubAdapter::scope(), "Elixir.Phoenix.PubSub");
/// assert_eq!(adapter.groups()[0], "Elixir.MyApp.PubSub.Adapter");
/// assert_eq!(adapter.groups()[1], "Elixir.MyApp.PubSub.Adapter_2");
/// # Ok::<(), enmesh_term::AtomTooLong>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PubSubAdapter {
    groups: Vec<Atom>,
    /// How many of the groups, from the first on, carry what we broadcast; at least 1.
    carriers: usize,
}

impl PubSubAdapter {
    /// The adapter of the PubSub `name` (as in Elixir, with or without `Elixir.` in front) whose
    /// pool has `pool_size` workers and sends over the first `broadcast_pool_size` of them; both
    /// are 1 unless its configuration says otherwise. What is not between 1 and [`MAX_POOL`], or
    /// more than the pool, is taken as the nearest that can be.
    ///
    /// # Errors
    /// [`AtomTooLong`] if the names of the groups are no atoms any more.
    pub fn new(name: &str, pool_size: u16, broadcast_pool_size: u16) -> Result<Self, AtomTooLong> {
        let name = name.strip_prefix("Elixir.").unwrap_or(name);
        let first = format!("Elixir.{name}.Adapter");
        let groups = (1..=pool_size.clamp(1, MAX_POOL)).map(|worker| match worker {
            1 => Atom::new(&first),
            worker => Atom::new(&format!("{first}_{worker}")),
        });
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        let carriers = usize::from(broadcast_pool_size).clamp(1, groups.len());
        Ok(Self { groups, carriers })
    }

    /// The pg scope of all adapters.
    #[must_use]
    pub const fn scope() -> Atom {
        Atom::from_static("Elixir.Phoenix.PubSub")
    }

    /// The groups, one for each worker of a pool. Who wants every broadcast joins each of them,
    /// because each is sent over one of them; a worker is also registered under its group's name,
    /// for what is sent to one node directly.
    #[must_use]
    pub fn groups(&self) -> &[Atom] {
        &self.groups
    }

    /// Which of the groups carries what `sender` broadcasts: always the same one, so that it
    /// arrives in order, and another sender's may be another.
    #[must_use]
    pub fn carrier(&self, sender: u64) -> usize {
        // Numbers given in turn must not go in step with anything else that is taken in turn.
        let mixed = sender.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        usize::try_from(mixed).expect("32 bits") % self.carriers
    }
}

/// A message to all subscribers of a topic on the node of who gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Broadcast {
    /// The topic.
    pub topic: Binary,
    /// The message.
    pub message: Term,
    /// The module that hands it to the subscribers; a node that has none of that name drops the
    /// message with an error in its log.
    pub dispatcher: Atom,
}

impl Broadcast {
    /// A message for the subscribers of `topic`, as `Phoenix.PubSub.broadcast/3` sends it.
    #[must_use]
    pub fn new(topic: &str, message: Term) -> Self {
        Self {
            topic: Binary::copy_from_slice(topic.as_bytes()),
            message,
            dispatcher: PubSubAdapter::scope(),
        }
    }

    /// What a worker got; `None` if it is no broadcast.
    #[must_use]
    pub fn from_term(term: Term) -> Option<Self> {
        let Term::Tuple(parts) = term else {
            return None;
        };
        match <[Term; 4]>::try_from(parts).ok()? {
            [word, Term::Binary(topic), message, Term::Atom(dispatcher)]
                if word.is_atom("forward_to_local") =>
            {
                Some(Self {
                    topic,
                    message,
                    dispatcher,
                })
            }
            _ => None,
        }
    }

    /// What to send to workers.
    #[must_use]
    pub fn into_term(self) -> Term {
        Term::tuple([
            Term::atom("forward_to_local"),
            Term::Binary(self.topic),
            self.message,
            Term::Atom(self.dispatcher),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Phoenix.PubSub.PG2: `{:forward_to_local, topic, message, dispatcher}`.
    #[test]
    fn a_broadcast_is_a_tuple_of_four() {
        let sent = Broadcast::new("room:1", Term::Int(5));
        let expected = Term::tuple([
            Term::atom("forward_to_local"),
            Term::binary("room:1"),
            Term::Int(5),
            Term::atom("Elixir.Phoenix.PubSub"),
        ]);
        assert_eq!(sent.clone().into_term(), expected);
        assert_eq!(Broadcast::from_term(expected), Some(sent));
    }

    #[test]
    fn what_is_no_broadcast_is_none() {
        let topic_is_an_atom = Term::tuple([
            Term::atom("forward_to_local"),
            Term::atom("room"),
            Term::Int(5),
            Term::atom("Elixir.Phoenix.PubSub"),
        ]);
        for other in [Term::atom("hello"), Term::tuple([]), topic_is_an_atom] {
            assert_eq!(Broadcast::from_term(other), None);
        }
    }

    #[test]
    fn an_adapter_is_named_after_its_pubsub() {
        let names = |name, size| {
            let adapter = PubSubAdapter::new(name, size, size).unwrap();
            adapter.groups().to_vec()
        };
        assert_eq!(names("Elixir.A.B", 1), ["Elixir.A.B.Adapter"]);
        assert_eq!(names("A.B", 0), ["Elixir.A.B.Adapter"]);
        assert_eq!(names("A", 3)[2], "Elixir.A.Adapter_3");
        assert_eq!(PubSubAdapter::new(&"x".repeat(250), 1, 1), Err(AtomTooLong));
    }

    #[test]
    fn a_sender_has_one_carrier_and_all_carriers_have_senders() {
        for (pool, sending, carriers) in [(4, 4, 4), (4, 2, 2), (4, 9, 4), (1, 0, 1)] {
            let adapter = PubSubAdapter::new("A", pool, sending).unwrap();
            let chosen: BTreeSet<usize> = (0..64).map(|sender| adapter.carrier(sender)).collect();
            assert_eq!(chosen, (0..carriers).collect());
            assert_eq!(adapter.carrier(7), adapter.carrier(7));
        }
    }
}
