//! Who leads: of the threads of a node one at a time drives its links, clocks and manager, and the
//! others run the user's code or wait (the pattern Leader/Followers).
//!
//! A thread that has the user's code to run lets the lead go first, and takes it back when it has
//! nothing more to run: so a message is handled by the thread that read it, without waking another.
//! The *keeper* never runs the user's code. It leads while nobody else wants to, and while others
//! do it looks now and then whether the lead lies untouched because the user's code is slow.
//!
//! No thread is started, stopped or woken here; [`Crew`](crate::crew::Crew) does as it is told.

/// A thread that can lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// The one thread that never runs the user's code.
    Keeper,
    /// Runs whatever of the user's code can go on.
    Worker(u32),
    /// A thread of the user's, with a future of its own.
    Guest(u32),
}

/// What a thread without work does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// It leads from now on.
    Lead,
    /// It waits.
    Wait {
        /// The leader is to be told that it shall leave.
        tell_leader: bool,
    },
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// It leads from now on.
    Lead,
    /// It looks again in a while.
    Look,
    /// It sleeps until it is woken: somebody leads and nothing moves.
    Sleep,
}

/// How often in a row a thread must have run the user's code before it takes the lead from another
/// that did: two that are busy in turn would only push each other out.
const STREAK: u32 = 2;

/// How many looks of the keeper find nothing moved before it sleeps.
const QUIET_LOOKS: u32 = 8;

/// The state of the turns.
#[derive(Debug)]
pub(crate) struct Turns {
    leader: Option<Seat>,
    /// Gets the lead once the leader has left.
    heir: Option<Seat>,
    /// Counts each change of the lead.
    changes: u64,
    /// Who ran the user's code last, and how often in a row.
    ran: Seat,
    streak: u32,
    /// What the keeper saw at its last look, and how often nothing else.
    seen: u64,
    quiet: u32,
    keeper_sleeps: bool,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            leader: None,
            heir: None,
            changes: 0,
            ran: Seat::Keeper,
            streak: 0,
            // The keeper leads at its first look.
            seen: 0,
            quiet: 0,
            keeper_sleeps: false,
        }
    }
}

impl Turns {
    pub(crate) fn leader(&self) -> Option<Seat> {
        self.leader
    }

    /// Whether the keeper will soon see what goes wrong.
    pub(crate) fn is_watched(&self) -> bool {
        !self.keeper_sleeps && self.leader != Some(Seat::Keeper)
    }

    /// `seat`, which does not lead, goes to run the user's code. Returns whether the keeper is to
    /// be woken.
    pub(crate) fn begin(&mut self, seat: Seat) -> bool {
        self.resign(seat);
        if self.ran == seat {
            self.streak = self.streak.saturating_add(1);
        } else {
            (self.ran, self.streak) = (seat, 1);
        }
        let wake = std::mem::take(&mut self.keeper_sleeps);
        if wake {
            // As after a look that saw something else: it leads at its second look, not at once.
            (self.seen, self.quiet) = (self.changes.wrapping_sub(1), 0);
        }
        wake
    }

    /// `seat` has nothing to run.
    pub(crate) fn idle(&mut self, seat: Seat) -> Idle {
        match self.leader {
            Some(leader) if leader == seat => Idle::Lead,
            None => {
                self.set_leader(Some(seat));
                Idle::Lead
            }
            Some(leader) => {
                let is_busiest = self.ran == seat && self.streak >= STREAK;
                let is_heir = self.heir == Some(seat);
                let tell_leader =
                    !is_heir && self.heir.is_none() && (leader == Seat::Keeper || is_busiest);
                if tell_leader {
                    self.heir = Some(seat);
                }
                Idle::Wait { tell_leader }
            }
        }
    }

    /// Whether the leader shall leave.
    pub(crate) fn is_wanted(&self) -> bool {
        self.heir.is_some()
    }

    /// The leader leaves. Returns who leads in its place and is to be woken.
    pub(crate) fn leave(&mut self, seat: Seat) -> Option<Seat> {
        if self.leader != Some(seat) {
            return None;
        }
        let heir = self.heir.take();
        self.set_leader(heir);
        heir
    }

    /// `seat` is gone for good. Returns whether the keeper is to be woken.
    pub(crate) fn depart(&mut self, seat: Seat) -> bool {
        self.resign(seat);
        if self.leader.is_some() {
            return false;
        }
        // It need not wait for a second look.
        self.seen = self.changes;
        self.keeper_sleeps = false;
        true
    }

    /// The keeper, which does not lead, looks.
    pub(crate) fn watch(&mut self) -> Watch {
        if self.leader == Some(Seat::Keeper) {
            return Watch::Lead;
        }
        if self.seen != self.changes {
            (self.seen, self.quiet) = (self.changes, 0);
            return Watch::Look;
        }
        if self.leader.is_none() {
            self.set_leader(Some(Seat::Keeper));
            return Watch::Lead;
        }
        self.quiet += 1;
        if self.quiet < QUIET_LOOKS {
            return Watch::Look;
        }
        self.keeper_sleeps = true;
        Watch::Sleep
    }

    /// Takes back what `seat` may have been promised.
    fn resign(&mut self, seat: Seat) {
        if self.heir == Some(seat) {
            self.heir = None;
        }
        if self.leader == Some(seat) {
            self.set_leader(None);
        }
    }

    fn set_leader(&mut self, leader: Option<Seat>) {
        self.leader = leader;
        self.changes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Seat = Seat::Worker(1);
    const B: Seat = Seat::Guest(2);

    /// The keeper leads, as it does in a node that has no code of the user.
    fn kept() -> Turns {
        let mut turns = Turns::default();
        assert_eq!(turns.watch(), Watch::Lead);
        turns
    }

    /// `A` has run something and leads.
    fn led_by_a() -> Turns {
        let mut turns = kept();
        turns.begin(A);
        assert_eq!(turns.idle(A), Idle::Wait { tell_leader: true });
        assert!(turns.is_wanted());
        assert_eq!(turns.leave(Seat::Keeper), Some(A));
        assert_eq!(turns.idle(A), Idle::Lead);
        turns
    }

    #[test]
    fn the_keeper_gives_way_to_whoever_runs_the_users_code() {
        let turns = led_by_a();
        assert_eq!(turns.leader(), Some(A));
    }

    #[test]
    fn slow_code_of_the_user_costs_the_lead_at_the_keepers_second_look() {
        let mut turns = led_by_a();
        assert_eq!(turns.watch(), Watch::Look);
        assert_eq!(turns.leave(A), None);
        turns.begin(A);
        assert_eq!(turns.watch(), Watch::Look);
        assert_eq!(turns.watch(), Watch::Lead);
        assert_eq!(turns.leader(), Some(Seat::Keeper));
    }

    #[test]
    fn code_that_comes_and_goes_keeps_the_lead() {
        let mut turns = led_by_a();
        for _ in 0..1000 {
            turns.leave(A);
            turns.begin(A);
            assert_eq!(turns.watch(), Watch::Look);
            assert_eq!(turns.idle(A), Idle::Lead);
        }
    }

    #[test]
    fn a_quiet_node_lets_its_keeper_sleep_and_code_of_the_user_wakes_it() {
        let mut turns = led_by_a();
        let looks = (0..).take_while(|_| turns.watch() == Watch::Look).count();
        assert!(looks <= QUIET_LOOKS as usize);
        assert!(!turns.is_watched());
        turns.leave(A);
        assert!(turns.begin(A), "the keeper is woken");
        assert!(!turns.begin(A), "once");
        assert_eq!(turns.watch(), Watch::Look, "most code is quick");
        assert_eq!(turns.watch(), Watch::Lead);
    }

    #[test]
    fn two_that_are_busy_in_turn_do_not_push_each_other_out() {
        let mut turns = led_by_a();
        turns.begin(B);
        assert_eq!(turns.idle(B), Idle::Wait { tell_leader: false });
        // Once only one of them is busy, it gets the lead.
        turns.begin(B);
        assert_eq!(turns.idle(B), Idle::Wait { tell_leader: true });
        assert_eq!(turns.leave(A), Some(B));
        assert_eq!(turns.idle(A), Idle::Wait { tell_leader: false });
    }

    #[test]
    fn an_heir_that_gets_work_first_passes_the_lead_on() {
        let mut turns = kept();
        turns.begin(A);
        assert_eq!(turns.idle(A), Idle::Wait { tell_leader: true });
        turns.begin(A);
        assert!(!turns.is_wanted(), "the keeper may stay");
        assert_eq!(turns.leader(), Some(Seat::Keeper));
        // And the same once the keeper has left for it.
        turns.idle(A);
        assert_eq!(turns.leave(Seat::Keeper), Some(A));
        turns.begin(A);
        assert_eq!(turns.leader(), None);
    }

    #[test]
    fn the_keeper_leads_at_once_when_the_leader_is_gone_for_good() {
        let mut turns = led_by_a();
        turns.leave(A);
        assert!(turns.depart(A));
        assert_eq!(turns.watch(), Watch::Lead);
    }

    /// Threads as the crew runs them, each in one of the places where others can act in between.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Place {
        /// Is about to ask what to do.
        Asks,
        /// Runs the user's code, for as long as it likes.
        Runs,
        Leads,
        Parked,
        Gone,
    }

    /// Whatever threads do and in whatever order they are scheduled: somebody leads, or somebody
    /// who is awake will ask what to do, or the keeper looks.
    #[test]
    fn somebody_always_leads_or_is_awake_to_see_that_nobody_does() {
        for seed in 1..3000_u64 {
            run_threads(seed);
        }
    }

    fn run_threads(seed: u64) {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let seats = [
            Seat::Keeper,
            Seat::Worker(1),
            Seat::Worker(2),
            Seat::Guest(3),
        ];
        let mut turns = Turns::default();
        let mut places = [Place::Asks; 4];
        // Whether each is to wake up from where it waits.
        let mut woken = [false; 4];
        let index = |seat| seats.iter().position(|it| *it == seat).unwrap();
        for step in 0..200 {
            let thread = random(seats.len());
            let seat = seats[thread];
            match places[thread] {
                Place::Gone => continue,
                Place::Leads => {
                    // It leaves when it is told to, or has something of its own to run.
                    if turns.is_wanted() || (seat != Seat::Keeper && random(2) == 0) {
                        if let Some(heir) = turns.leave(seat) {
                            woken[index(heir)] = true;
                        }
                        places[thread] = Place::Asks;
                    }
                }
                // Others than the keeper may be woken by what they can run.
                Place::Parked if !std::mem::take(&mut woken[thread]) && thread == 0 => continue,
                _ if seat == Seat::Keeper => {
                    places[thread] = match turns.watch() {
                        Watch::Lead => Place::Leads,
                        Watch::Look => Place::Asks,
                        Watch::Sleep => Place::Parked,
                    };
                }
                _ if random(3) == 0 => {
                    woken[0] |= turns.begin(seat);
                    places[thread] = Place::Runs;
                    if random(20) == 0 {
                        woken[0] |= turns.depart(seat);
                        places[thread] = Place::Gone;
                    }
                }
                _ => {
                    places[thread] = match turns.idle(seat) {
                        Idle::Lead => Place::Leads,
                        Idle::Wait { .. } => Place::Parked,
                    };
                }
            }
            let leads: Vec<_> = (0..4).filter(|it| places[*it] == Place::Leads).collect();
            assert!(leads.len() <= 1, "seed {seed} step {step}: {places:?}");
            let led_by = turns.leader().map(index);
            assert!(leads.is_empty() || leads.first().copied() == led_by);
            // The one that leads next is awake to do so.
            let to_come = led_by.is_some_and(|it| places[it] == Place::Asks || woken[it]);
            let sees = |it: usize| places[it] == Place::Asks || woken[it];
            assert!(
                !leads.is_empty() || to_come || (led_by.is_none() && (0..4).any(sees)),
                "seed {seed} step {step}: {places:?} {woken:?} {turns:?}"
            );
        }
    }
}
