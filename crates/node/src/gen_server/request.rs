//! The messages of `gen_server`'s callers.

use enmesh_term::{Pid, Reference, Term};

use crate::destination::Destination;
use crate::mailbox::Message;

/// Who waits for the reply to a call.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{Received, Request, Term};
///
/// let mut mailbox = node.mailbox("slow")?;
/// if let Received::Message(message) = mailbox.recv().await?
///     && let Request::Call { from, .. } = Request::of(&message)
/// {
///     println!("{} waits", from.pid());
///     mailbox.reply(&from, &Term::atom("done")).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    pid: Pid,
    /// What must stand in the reply, verbatim.
    tag: Term,
}

/// What a message is to a server.
///
/// ```no_run
/// # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use enmesh::{Received, Request};
///
/// let mut mailbox = node.mailbox("logger_of_rust")?;
/// if let Received::Message(message) = mailbox.recv().await? {
///     match Request::of(&message) {
///         Request::Call { from, request } => mailbox.reply(&from, &request).await?,
///         Request::Cast(request) => println!("{request}"),
///         Request::System { .. } | Request::Info => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A call, which waits for [`Process::reply`](crate::Process::reply).
    Call {
        /// Who waits.
        from: Caller,
        /// The request.
        request: Term,
    },
    /// A cast, which waits for nothing.
    Cast(Term),
    /// A message of Erlang's module `sys`, which waits for a reply.
    System {
        /// Who waits.
        from: Caller,
        /// The request.
        request: Term,
    },
    /// Any other message, one that is no term included.
    Info,
}

impl Request {
    /// Reads a message as a server does.
    pub fn of(message: &Message) -> Self {
        let Ok(Term::Tuple(mut parts)) = message.term() else {
            return Self::Info;
        };
        let is = |word: &str, len: usize| {
            parts.len() == len && parts.first().is_some_and(|first| first.is_atom(word))
        };
        let (is_call, is_system) = (is("$gen_call", 3), is("system", 3));
        if is("$gen_cast", 2) {
            return parts.pop().map_or(Self::Info, Self::Cast);
        }
        if !is_call && !is_system {
            return Self::Info;
        }
        let (Some(request), Some(from)) = (parts.pop(), parts.pop()) else {
            return Self::Info;
        };
        match Caller::of(from) {
            Some(from) if is_call => Self::Call { from, request },
            Some(from) => Self::System { from, request },
            None => Self::Info,
        }
    }
}

impl Caller {
    /// The caller that `{Pid, Tag}` names.
    pub fn of(from: Term) -> Option<Self> {
        let Term::Tuple(parts) = from else {
            return None;
        };
        match <[Term; 2]>::try_from(parts).ok()? {
            [Term::Pid(pid), tag] => Some(Self { pid: *pid, tag }),
            _ => None,
        }
    }

    /// The process that called.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// gen.erl: the reply goes to the alias in `[alias|Alias]`, or in `[[alias|Alias]|_]`, which
    /// is what `multi_call` of OTP 27 sends; else to the process.
    pub(crate) fn destination(&self) -> Destination {
        let alias = alias(&self.tag).or_else(|| match &self.tag {
            Term::ImproperList(head, _) => head.first().and_then(alias),
            _ => None,
        });
        alias.map_or_else(
            || Destination::Pid(self.pid.clone()),
            |alias| Destination::Alias(alias.clone()),
        )
    }

    /// The message that the caller waits for.
    pub(crate) fn message(&self, reply: Term) -> Term {
        Term::tuple([self.tag.clone(), reply])
    }
}

fn alias(tag: &Term) -> Option<&Reference> {
    match tag {
        Term::ImproperList(head, tail) if matches!(&**head, [word] if word.is_atom("alias")) => {
            tail.as_reference()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enmesh_term::Atom;

    fn pid() -> Pid {
        Pid::new(Atom::from_static("a@h"), 7, 0, 9)
    }

    fn reference() -> Reference {
        Reference::new(Atom::from_static("a@h"), 9, &[1, 2, 3]).unwrap()
    }

    fn request(term: &Term) -> Request {
        Request::of(&Message::new(enmesh_term::encode_bare(term).into()))
    }

    fn call_with(tag: Term) -> Caller {
        let from = Term::tuple([pid().into(), tag]);
        match request(&Term::tuple([Term::atom("$gen_call"), from, Term::Int(1)])) {
            Request::Call { from, request } => {
                assert_eq!(request, Term::Int(1));
                from
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reply_goes_to_the_alias_in_the_tag_else_to_the_process() {
        let alias = Term::improper(vec![Term::atom("alias")], reference().into());
        let by_alias = Destination::Alias(reference());
        assert_eq!(call_with(alias.clone()).destination(), by_alias);
        let multi = Term::improper(vec![alias], reference().into());
        assert_eq!(call_with(multi).destination(), by_alias);
        let plain = call_with(reference().into());
        assert_eq!(plain.destination(), Destination::Pid(pid()));
        let old_multi = call_with(Term::tuple([reference().into(), Term::atom("a@h")]));
        assert_eq!(old_multi.destination(), Destination::Pid(pid()));
        assert_eq!(
            plain.message(Term::Int(2)),
            Term::tuple([reference().into(), Term::Int(2)])
        );
    }

    #[test]
    fn what_is_no_request_is_information() {
        let no_pid = Term::tuple([Term::Int(1), Term::Int(2)]);
        let odd = Term::tuple([Term::atom("$gen_call"), no_pid, Term::Int(1)]);
        assert_eq!(request(&odd), Request::Info);
        assert_eq!(request(&Term::Int(1)), Request::Info);
        let cut = Message::new(bytes::Bytes::from_static(&[104, 9]));
        assert_eq!(Request::of(&cut), Request::Info);
        let cast = Term::tuple([Term::atom("$gen_cast"), Term::Int(1)]);
        assert_eq!(request(&cast), Request::Cast(Term::Int(1)));
    }
}
