//! Who is in which group, and how often.

use std::collections::BTreeMap;

use enmesh_term::{Pid, Term};

use crate::keep::kept;

/// The most memberships that are kept of one node; one that joined twice counts twice. A join
/// beyond is ignored.
pub(super) const MAX_MEMBERSHIPS: usize = 1 << 18;

/// The most bytes, as encoded, that the names of one node's groups may have. A join beyond is
/// ignored.
const MAX_NAME_BYTES: usize = 32 << 20;

/// Who is in a group, and how often each of them.
type Members = BTreeMap<Pid, u32>;

/// The groups of the processes of one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Groups {
    groups: BTreeMap<Term, (Members, usize)>,
    memberships: usize,
    name_bytes: usize,
}

impl Groups {
    /// Adds a membership; `false` at a limit.
    pub(super) fn add(&mut self, group: &Term, pid: &Pid) -> bool {
        if self.memberships >= MAX_MEMBERSHIPS {
            return false;
        }
        if let Some((members, _)) = self.groups.get_mut(group) {
            *members.entry(pid.clone()).or_default() += 1;
        } else {
            let Some((name, bytes)) = kept(group) else {
                return false;
            };
            if self.name_bytes + bytes > MAX_NAME_BYTES {
                return false;
            }
            self.name_bytes += bytes;
            let members = Members::from([(pid.clone(), 1)]);
            self.groups.insert(name, (members, bytes));
        }
        self.memberships += 1;
        true
    }

    /// Takes one membership back; `false` if there is none.
    pub(super) fn remove(&mut self, group: &Term, pid: &Pid) -> bool {
        let Some((members, bytes)) = self.groups.get_mut(group) else {
            return false;
        };
        let Some(times) = members.get_mut(pid) else {
            return false;
        };
        *times -= 1;
        if *times == 0 {
            members.remove(pid);
        }
        self.memberships -= 1;
        if members.is_empty() {
            self.name_bytes -= *bytes;
            self.groups.remove(group);
        }
        true
    }

    /// The members of a group, each as often as it joined.
    pub(super) fn members(&self, group: &Term) -> impl Iterator<Item = &Pid> {
        let members = self.groups.get(group).map(|(members, _)| members);
        members.into_iter().flatten().flat_map(repeated)
    }

    /// The groups, in Erlang's order.
    pub(super) fn names(&self) -> impl Iterator<Item = &Term> {
        self.groups.keys()
    }

    /// The groups with their members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Term, Vec<Pid>)> {
        let groups = self.groups.iter();
        groups.map(|(group, (members, _))| {
            (group, members.iter().flat_map(repeated).cloned().collect())
        })
    }

    /// Who is in `group` here more often than in `other`, as often as the difference.
    pub(super) fn beyond(&self, other: &Self, group: &Term) -> Vec<Pid> {
        let Some((ours, _)) = self.groups.get(group) else {
            return Vec::new();
        };
        let theirs = other.groups.get(group).map(|(members, _)| members);
        let mut more = Vec::new();
        for (pid, times) in ours {
            let had = theirs.and_then(|theirs| theirs.get(pid)).copied();
            let surplus = times.saturating_sub(had.unwrap_or(0));
            more.extend((0..surplus).map(|_| pid.clone()));
        }
        more
    }
}

fn repeated<'a>((pid, times): (&'a Pid, &u32)) -> impl Iterator<Item = &'a Pid> + use<'a> {
    (0..*times).map(move |_| pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use enmesh_term::Atom;

    #[test]
    fn a_name_keeps_no_message_alive() {
        let message = Bytes::from(vec![7; 1 << 20]);
        let group = Term::from(message.slice(..64));
        let pid = Pid::new(Atom::from_static("b@h"), 1, 0, 1);
        let mut groups = Groups::default();
        assert!(groups.add(&group, &pid));
        drop(group);
        assert!(
            message.is_unique(),
            "the group holds on to a part of the message"
        );
        assert_eq!(groups.members(&Term::binary([7; 64])).count(), 1);
    }

    #[test]
    fn names_have_a_bounded_size_and_what_leaves_makes_room() {
        let pid = Pid::new(Atom::from_static("b@h"), 1, 0, 1);
        let name = |number: u8| Term::binary(vec![number; MAX_NAME_BYTES / 3]);
        let mut groups = Groups::default();
        assert!(groups.add(&name(1), &pid) && groups.add(&name(2), &pid));
        assert!(!groups.add(&name(3), &pid));
        assert!(groups.add(&name(2), &pid), "a known group costs nothing");
        assert!(groups.remove(&name(1), &pid));
        assert!(groups.add(&name(3), &pid));
    }
}
