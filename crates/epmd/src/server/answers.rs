//! What an epmd server decides about one request.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use enmesh_identity::Creation;
use enmesh_proto::epmd::{AliveReply, NamesReply, NodeInfo, PortReply, Request};
use tokio::net::TcpStream;

use super::{Holder, Server};
use crate::connection::{self, Origin, Outcome};

/// Distribution protocol versions from here on take 32-bit creations.
const LONG_CREATION_VERSION: u16 = 6;

/// The creation in an answer that refuses a name, as OTP's epmd gives it.
const NO_CREATION: u32 = 99;

impl Server {
    pub(super) fn handle_request(
        &mut self,
        stream: TcpStream,
        origin: Origin,
        request: Request,
        port: u16,
    ) {
        let mut ended = Outcome::Closed;
        let answer = match request {
            Request::Alive2(info) => return self.handle_alive(stream, origin, info),
            Request::PortPlease { name } => match self.names.get(&name) {
                Some(entry) => PortReply::Found(entry.info.clone()).encode(),
                None => PortReply::NotFound { code: 1 }.encode(),
            },
            Request::Names => self.list(port),
            Request::Dump if origin.is_loopback() => self.dump(port),
            Request::Kill if origin.is_loopback() => {
                if self.names.is_empty() || self.config.relaxed {
                    ended = Outcome::Killed;
                    b"OK".to_vec()
                } else {
                    b"NO".to_vec()
                }
            }
            Request::Stop { name } if origin.is_loopback() && self.config.relaxed => {
                self.forget(&name)
            }
            // Whoever may not ask gets no word.
            Request::Dump | Request::Kill | Request::Stop { .. } => {
                tracing::debug!(peer = %origin.peer, "request not allowed");
                return;
            }
        };
        let limit = self.config.request_timeout;
        let work = connection::answer(Arc::new(stream), answer, limit, ended);
        self.spawn(origin.peer.ip(), work);
    }

    /// Answers a registration, and keeps the connection if the name is granted.
    fn handle_alive(&mut self, stream: TcpStream, origin: Origin, info: NodeInfo) {
        let peer = origin.peer.ip();
        if !origin.is_same_host() {
            tracing::debug!(%peer, "registration from another host closed");
            return;
        }
        self.reap(&info.name);
        self.registrations += 1;
        let (name, number, stream) = (info.name.clone(), self.registrations, Arc::new(stream));
        let long = info.high >= LONG_CREATION_VERSION;
        let holder = Holder {
            number,
            stream: stream.clone(),
        };
        match self
            .names
            .register(name.clone(), info, holder, creation_seed())
        {
            Ok(creation) => {
                tracing::debug!(name, creation, "registered");
                let answer = alive_reply(long, 0, creation);
                self.spawn(peer, connection::hold(stream, answer, name, number));
            }
            Err(denial) => {
                tracing::info!(name, ?denial, "registration refused");
                let answer = alive_reply(long, 1, NO_CREATION);
                let limit = self.config.request_timeout;
                self.spawn(
                    peer,
                    connection::answer(stream, answer, limit, Outcome::Closed),
                );
            }
        }
    }

    /// Takes `name` out if the connection that keeps it is dead. A node that is restarted fast
    /// registers before the end of its former life has come round to us.
    fn reap(&mut self, name: &str) {
        let dead = |holder: &Holder| !connection::is_alive(&holder.stream);
        if self.names.retire(name, dead).is_some() {
            tracing::debug!(name, "unregistered: its connection is dead");
        }
    }

    /// Ends the registration of `name` for whoever keeps it.
    fn forget(&mut self, name: &str) -> Vec<u8> {
        let Some(holder) = self.names.retire(name, |_| true) else {
            return b"NOEXIST".to_vec();
        };
        connection::close(&holder.stream);
        tracing::info!(name, "unregistered: stopped");
        b"STOPPED".to_vec()
    }

    fn list(&self, port: u16) -> Vec<u8> {
        let names = self
            .names
            .live()
            .map(|(name, entry)| (name.to_owned(), entry.info.port));
        NamesReply {
            epmd_port: port.into(),
            names: names.collect(),
        }
        .encode()
    }

    /// The state in the words of OTP's epmd, whose command line tool prints them as they are.
    fn dump(&self, port: u16) -> Vec<u8> {
        let mut text = String::new();
        for (name, entry) in self.names.live() {
            let (port, number) = (entry.info.port, entry.holder.number);
            let _ = write!(
                text,
                "active name     <{name}> at port {port}, fd = {number}\n\0"
            );
        }
        for name in self.names.retired() {
            let _ = write!(text, "old/unused name <{name}>, port = 0, fd = -1 \n\0");
        }
        [&u32::from(port).to_be_bytes(), text.as_bytes()].concat()
    }
}

/// The creation of a name that was never seen: the seconds since 1970, which go on rising when a
/// server is restarted and has forgotten every name.
fn creation_seed() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // In 2106 it begins anew, as OTP's epmd does.
    (since.as_secs() & u64::from(u32::MAX)) as u32
}

fn alive_reply(long: bool, result: u8, creation: u32) -> Vec<u8> {
    let reply = if long {
        AliveReply::Alive2X {
            result,
            creation: Creation::from_wire(creation),
        }
    } else {
        AliveReply::Alive2 {
            result,
            creation: (creation % 3) as u16 + 1,
        }
    };
    reply.encode()
}
