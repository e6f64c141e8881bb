//! The group leader: what a process prints whose group leader is ours.

use enmesh_term::{Atom, Pid, Term};

use crate::effect::Address;
use crate::services::format::{Text, format};
use crate::services::gen_call::Incoming;
use crate::services::{Served, Services};

/// The most requests that one request may consist of; one of more is refused.
const MAX_REQUESTS: usize = 1_024;

impl Services {
    /// The I/O protocol: `{io_request, From, ReplyAs, Request}` is answered with
    /// `{io_reply, ReplyAs, Reply}`, whatever the request is, because its process waits for ever.
    pub(super) fn user(&mut self, from_node: &Atom, message: &Term) {
        let message = match Incoming::of(message) {
            Incoming::Call(caller, _) | Incoming::System(caller) => {
                self.refuse(Served::User, &caller);
                return;
            }
            Incoming::Cast(_) => return,
            Incoming::Info(message) => message,
        };
        let Some([word, Term::Pid(from), reply_as, request]) = message.as_tuple() else {
            return;
        };
        if !word.is_atom("io_request") {
            return;
        }
        let reply = self.io_request(from_node, request);
        let message = Term::tuple([Term::atom("io_reply"), reply_as.clone(), reply]);
        self.send(Served::User, Address::Pid(Pid::clone(from)), message);
    }

    fn io_request(&mut self, node: &Atom, request: &Term) -> Term {
        if let Some([word, Term::List(requests)]) = request.as_tuple()
            && word.is_atom("requests")
        {
            if requests.len() > MAX_REQUESTS {
                return error("request");
            }
            // group.erl, `io_requests/5`: until one fails; the reply is that of the last.
            let mut reply = Term::atom("ok");
            for request in requests {
                reply = self.one_io_request(node, request);
                if !reply.is_atom("ok") {
                    break;
                }
            }
            return reply;
        }
        self.one_io_request(node, request)
    }

    fn one_io_request(&mut self, node: &Atom, request: &Term) -> Term {
        let Some([Term::Atom(word), rest @ ..]) = request.as_tuple() else {
            let known = request.is_atom("getopts") || request.is_atom("get_password");
            return error(if known { "enotsup" } else { "request" });
        };
        match word.as_str() {
            "put_chars" => self.put_chars(node, rest),
            "get_chars" | "get_line" | "get_until" => Term::atom("eof"),
            "setopts" | "get_password" | "get_geometry" => error("enotsup"),
            _ => error("request"),
        }
    }

    /// `{put_chars, Encoding, Chars}`, `{put_chars, Encoding, M, F, Args}`, and the forms without
    /// an encoding, which mean latin1.
    fn put_chars(&mut self, node: &Atom, parts: &[Term]) -> Term {
        let (latin1, parts) = match parts {
            [encoding, parts @ ..] if encoding.is_atom("unicode") => (false, parts),
            [encoding, parts @ ..] if encoding.is_atom("latin1") => (true, parts),
            parts => (true, parts),
        };
        let text = match parts {
            [chars] => {
                let mut text = Text::default();
                text.push_chars(chars, latin1).map(|()| text)
            }
            [module, function, Term::List(args)] if module.is_atom("io_lib") => {
                applied(function, args)
            }
            [_, _, _] => None,
            _ => return error("request"),
        };
        match (text, parts) {
            (Some(text), _) => {
                if !text.is_empty() {
                    self.log(node, None, text);
                }
                Term::atom("ok")
            }
            (None, [_, function, _]) => Term::tuple([Term::atom("error"), function.clone()]),
            (None, _) => error("put_chars"),
        }
    }
}

/// What the functions of `io_lib` give that `io` sends; no other module's function is run.
fn applied(function: &Term, args: &[Term]) -> Option<Text> {
    match (function.as_atom()?.as_str(), args) {
        ("format" | "fwrite", [layout, args]) => format(layout, args),
        ("write" | "print", [term, ..]) => {
            let mut text = Text::default();
            text.push(&term.to_string());
            Some(text)
        }
        ("nl", []) => {
            let mut text = Text::default();
            text.push("\n");
            Some(text)
        }
        _ => None,
    }
}

fn error(reason: &'static str) -> Term {
    Term::tuple([Term::atom("error"), Term::atom(reason)])
}
