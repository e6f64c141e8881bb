//! What a link runs over: a TCP connection, or TLS on one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use enmesh_identity::NodeName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(feature = "tls")]
use tokio_rustls::TlsStream;

use crate::tls::{Tls, TlsError};

/// How much earlier than the dial itself TLS gives up, so that its reason is heard.
const TLS_LEEWAY: Duration = Duration::from_millis(200);

/// How much the system may hold of a link that it has not yet sent, in bytes.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 256 * 1024;

/// What the links of a node run over.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    /// What makes TLS of TCP; `None` for plain TCP.
    pub(crate) tls: Option<Arc<Tls>>,
    /// How long TLS may take on a connection that was accepted.
    pub(crate) setup_time: Duration,
}

impl Transport {
    /// Makes a connection that we opened to `peer` ready for the link, before `deadline`.
    pub(crate) async fn dial(
        &self,
        socket: TcpStream,
        peer: &NodeName,
        deadline: Instant,
    ) -> Result<Stream, TlsError> {
        let Some(tls) = &self.tls else {
            return Ok(socket.into());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        tls.dial(socket, peer, left.saturating_sub(TLS_LEEWAY))
            .await
    }

    /// Makes a connection that somebody opened to us ready for the link.
    pub(crate) async fn accept(&self, socket: TcpStream) -> Result<Stream, TlsError> {
        match &self.tls {
            Some(tls) => tls.accept(socket, self.setup_time).await,
            None => Ok(socket.into()),
        }
    }
}

/// A connection to a peer, ready for the first byte of the distribution's handshake.
#[derive(Debug)]
pub(crate) enum Stream {
    /// The bytes as they are.
    Plain(TcpStream),
    /// Encrypted; the TLS handshake is done.
    #[cfg(feature = "tls")]
    Tls {
        stream: Box<TlsStream<TcpStream>>,
        tls: Arc<Tls>,
        trouble: Trouble,
    },
}

/// Where the reading half of a [`Stream`] leaves why TLS broke, which it does after the handshake
/// too: in TLS 1.3 only then do we hear that the peer refused our certificate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<OnceLock<TlsError>>);

impl Trouble {
    /// Whatever broke TLS, taken out if nobody reads any more.
    pub(crate) fn take(self) -> Option<TlsError> {
        Arc::into_inner(self.0)?.into_inner()
    }
}

/// The half of a [`Stream`] that reads; its errors are those of TCP or of TLS.
#[derive(Debug)]
pub(crate) enum Reader {
    Plain(OwnedReadHalf),
    #[cfg(feature = "tls")]
    Tls {
        half: tokio::io::ReadHalf<Box<TlsStream<TcpStream>>>,
        tls: Arc<Tls>,
        trouble: Trouble,
    },
}

/// The half of a [`Stream`] that writes.
///
/// What a write says is written is with the system: nothing waits inside for a flush. For that, a
/// write that was not finished is to be tried again with the same bytes first, as by a caller that
/// keeps its buffer until it is written.
///
/// Its shutdown tells the peer that nothing more comes (over TLS by a `close_notify`).
#[derive(Debug)]
pub(crate) enum Writer {
    Plain(OwnedWriteHalf),
    #[cfg(feature = "tls")]
    Tls {
        half: tokio::io::WriteHalf<Box<TlsStream<TcpStream>>>,
        /// How many bytes of the write at hand were encrypted and are not yet with the system.
        taken: usize,
    },
}

impl Stream {
    /// TLS that has come up.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(stream: TlsStream<TcpStream>, tls: &Arc<Tls>) -> Self {
        Self::Tls {
            stream: Box::new(stream),
            tls: Arc::clone(tls),
            trouble: Trouble::default(),
        }
    }

    /// Where to look, after the link's end, for what TLS had to do with it.
    pub(crate) fn trouble(&self) -> Trouble {
        match self {
            Self::Plain(_) => Trouble::default(),
            #[cfg(feature = "tls")]
            Self::Tls { trouble, .. } => trouble.clone(),
        }
    }

    /// The TCP connection below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls { stream, .. } => stream.get_ref().0,
        }
    }

    /// Sends each write at once: a link writes in batches already, and waiting for more would only
    /// delay them. And what the system has taken and not yet sent is bounded, because no small
    /// message goes before it.
    pub(crate) fn set_options(&self) -> io::Result<()> {
        self.socket().set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(self.socket()).set_tcp_notsent_lowat(MAX_UNSENT)?;
        Ok(())
    }

    /// Two halves that can be used at the same time. The connection closes with the last of them.
    pub(crate) fn into_split(self) -> (Reader, Writer) {
        match self {
            Self::Plain(socket) => {
                let (reader, writer) = socket.into_split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
            #[cfg(feature = "tls")]
            Self::Tls {
                stream,
                tls,
                trouble,
            } => {
                let (half, writer) = tokio::io::split(stream);
                let reader = Reader::Tls { half, tls, trouble };
                let writer = Writer::Tls {
                    half: writer,
                    taken: 0,
                };
                (reader, writer)
            }
        }
    }
}

impl Writer {
    /// Has the connection end by a reset instead of in order, as soon as the other half is
    /// dropped. TLS can only end in order, and is given back for that.
    pub(crate) fn abandon(self) -> Option<Self> {
        match self {
            Self::Plain(half) => {
                // At worst it ends in order.
                let _ = half.as_ref().set_zero_linger();
                half.forget();
                None
            }
            #[cfg(feature = "tls")]
            Self::Tls { .. } => Some(self),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}

/// Reads what has arrived, without waiting for more; `None` if that is nothing.
pub(crate) async fn read_arrived<R: AsyncRead + Unpin>(
    reader: &mut R,
    inbox: &mut BytesMut,
) -> Option<io::Result<usize>> {
    // What has arrived is to be found also by a task that has had its share of the runtime.
    tokio::task::unconstrained(async {
        tokio::select! {
            biased;
            read = reader.read_buf(inbox) => Some(read),
            () = std::future::ready(()) => None,
        }
    })
    .await
}

/// Writes what the system takes, without waiting for it to take more; `None` if that is nothing.
pub(crate) async fn write_now<W: AsyncWrite + Unpin>(
    writer: &mut W,
    outbox: &mut impl Buf,
) -> Option<io::Result<usize>> {
    if !outbox.has_remaining() {
        return None;
    }
    tokio::select! {
        biased;
        written = writer.write_buf(outbox) => Some(written),
        () = std::future::ready(()) => None,
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_read(cx, buf),
            #[cfg(feature = "tls")]
            Self::Tls { half, tls, trouble } => {
                let read = std::task::ready!(poll_read_all(half, cx, buf));
                Poll::Ready(read.map_err(|error| {
                    let kind = error.kind();
                    let _ = trouble.0.set(tls.explain(error));
                    kind.into()
                }))
            }
        }
    }
}

/// Fills `buf` with all that is there: TLS gives a record at a time, which is little for a buffer
/// that has grown.
#[cfg(feature = "tls")]
fn poll_read_all<R: AsyncRead + Unpin>(
    reader: &mut R,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let start = buf.filled().len();
    loop {
        let before = buf.filled().len();
        match Pin::new(&mut *reader).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() > before && buf.remaining() > 0 => {}
            // An end, an error or nothing more yet shows again when nothing else is left to tell.
            _ if buf.filled().len() > start => return Poll::Ready(Ok(())),
            read => return read,
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_write(cx, buf),
            #[cfg(feature = "tls")]
            Self::Tls { half, taken } => {
                if *taken == 0 {
                    *taken = std::task::ready!(Pin::new(&mut *half).poll_write(cx, buf))?;
                }
                std::task::ready!(Pin::new(half).poll_flush(cx))?;
                Poll::Ready(Ok(std::mem::take(taken)))
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_write_vectored(cx, bufs),
            // One piece at a time, as `is_write_vectored` says.
            #[cfg(feature = "tls")]
            writer @ Self::Tls { .. } => {
                let first = bufs.iter().find(|piece| !piece.is_empty());
                Pin::new(writer).poll_write(cx, first.map_or(&[], |piece| piece))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(half) => half.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls { .. } => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls { half, .. } => Pin::new(half).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls { half, .. } => Pin::new(half).poll_shutdown(cx),
        }
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests;
