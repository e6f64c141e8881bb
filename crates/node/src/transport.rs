//! What a link runs over: a TCP connection, or TLS on one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(feature = "tls")]
use tokio_rustls::TlsStream;

/// A connection to a peer, ready for the first byte of the distribution's handshake.
#[derive(Debug)]
pub(crate) enum Stream {
    /// The bytes as they are.
    Plain(TcpStream),
    /// Encrypted; the TLS handshake is done.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

/// The half of a [`Stream`] that reads; its errors are those of TCP or of TLS.
#[derive(Debug)]
pub(crate) enum Reader {
    Plain(OwnedReadHalf),
    #[cfg(feature = "tls")]
    Tls(tokio::io::ReadHalf<Box<TlsStream<TcpStream>>>),
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
    /// The TCP connection below.
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Sends each write at once: a link writes in batches already, and waiting for more would only
    /// delay them.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        self.socket().set_nodelay(true)
    }

    /// Two halves that can be used at the same time. The connection closes with the last of them.
    pub(crate) fn into_split(self) -> (Reader, Writer) {
        match self {
            Self::Plain(socket) => {
                let (reader, writer) = socket.into_split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let (reader, half) = tokio::io::split(stream);
                (Reader::Tls(reader), Writer::Tls { half, taken: 0 })
            }
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

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_read(cx, buf),
            #[cfg(feature = "tls")]
            Self::Tls(half) => Pin::new(half).poll_read(cx, buf),
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
