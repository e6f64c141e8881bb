//! A name server with a zone that can be changed while it runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, PTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

/// What the server says about one name and type.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// These records, with this TTL: addresses, `srv PORT TARGET`, `ptr NAME`, or else aliases,
    /// each owning what follows.
    Answer(u32, Vec<&'static str>),
    /// This code.
    Code(ResponseCode),
    /// The name, and nothing of this type.
    Nothing,
    /// A cut-off answer over UDP, and the whole one over TCP.
    OverTcp(Vec<&'static str>),
    /// A cut-off answer, whatever it is asked over.
    CutOff(Vec<&'static str>),
    /// No answer.
    Silence,
    /// Bytes that are no answer.
    Garbage,
}

type Zone = BTreeMap<(String, RecordType), Say>;

/// The server; it ends with the runtime of its test.
#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let server = Self {
            address,
            zone: Arc::default(),
            asked: Arc::default(),
        };
        tokio::spawn(server.clone().serve_udp(udp));
        tokio::spawn(server.clone().serve_tcp(tcp));
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says `say` from now on; what was not set does not exist.
    pub(crate) fn set(&self, name: &str, kind: RecordType, say: Say) {
        self.zone
            .lock()
            .unwrap()
            .insert((name.to_owned(), kind), say);
    }

    /// Says these IPv4 addresses of a name that has no others.
    pub(crate) fn addresses(&self, name: &str, addresses: &[&'static str]) {
        self.set(name, RecordType::A, Say::Answer(1, addresses.to_vec()));
        self.set(name, RecordType::AAAA, Say::Nothing);
    }

    /// Says that the name does not exist.
    pub(crate) fn nothing(&self, name: &str) {
        self.zone
            .lock()
            .unwrap()
            .retain(|(known, _), _| known != name);
    }

    /// The questions so far.
    pub(crate) fn asked(&self) -> Vec<(String, RecordType)> {
        self.asked.lock().unwrap().clone()
    }

    async fn serve_udp(self, socket: UdpSocket) {
        let mut buffer = vec![0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = self.answer(&buffer[..length], false) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        while let Ok((mut socket, _)) = listener.accept().await {
            let server = self.clone();
            tokio::spawn(async move {
                while let Ok(length) = socket.read_u16().await {
                    let mut request = vec![0; length.into()];
                    if socket.read_exact(&mut request).await.is_err() {
                        return;
                    }
                    if let Some(answer) = server.answer(&request, true) {
                        let length = u16::try_from(answer.len()).unwrap();
                        let _ = socket.write_u16(length).await;
                        let _ = socket.write_all(&answer).await;
                    }
                }
            });
        }
    }

    fn answer(&self, request: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let request = Message::from_vec(request).unwrap();
        let query = request.queries[0].clone();
        let key = (query.name().to_string().to_lowercase(), query.query_type());
        let say = self.zone.lock().unwrap().get(&key).cloned();
        self.asked.lock().unwrap().push(key);
        let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        match say.unwrap_or(Say::Code(ResponseCode::NXDomain)) {
            Say::Answer(ttl, texts) => answer.add_answers(records(query.name(), ttl, &texts)),
            Say::Code(code) => {
                answer.metadata.response_code = code;
                &mut answer
            }
            Say::Nothing => &mut answer,
            Say::OverTcp(texts) if tcp => answer.add_answers(records(query.name(), 5, &texts)),
            Say::OverTcp(texts) | Say::CutOff(texts) => {
                answer.metadata.truncation = true;
                answer.add_answers(records(query.name(), 5, &texts[..1]))
            }
            Say::Silence => return None,
            Say::Garbage => return Some(b"SSH-2.0-OpenSSH_9.2".to_vec()),
        };
        Some(answer.to_vec().unwrap())
    }
}

fn records(name: &Name, ttl: u32, texts: &[&str]) -> Vec<Record> {
    let mut owner = name.clone();
    let mut records = Vec::new();
    for text in texts {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let words: Vec<_> = text.split(' ').collect();
        let data = match (words.as_slice(), text.parse()) {
            (_, Ok(std::net::IpAddr::V4(ip))) => RData::A(A(ip)),
            (_, Ok(std::net::IpAddr::V6(ip))) => RData::AAAA(AAAA(ip)),
            (["srv", port, target], _) => {
                RData::SRV(SRV::new(0, 100, port.parse().unwrap(), name(target)))
            }
            (["ptr", target], _) => RData::PTR(PTR(name(target))),
            _ => RData::CNAME(CNAME(name(text))),
        };
        let alias = match &data {
            RData::CNAME(target) => Some(target.0.clone()),
            _ => None,
        };
        records.push(Record::from_rdata(owner.clone(), ttl, data));
        owner = alias.unwrap_or(owner);
    }
    records
}
