//! Bytes to and from a port of a pod, carried by the API server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::chain;
use super::{Access, Ask, ClusterError};
use crate::http::Stream;

/// Bytes to and from a port of a pod, carried by the API server.
pub async fn forward(access: &Access, namespace: &str, pod: &str, port: u16) -> Result<Stream, ClusterError> {
    let ask = Ask {
        // The upgrade to a websocket is a GET; newer API servers want `create` as well.
        verbs: &["get", "create"],
        group: "",
        resource: "pods/portforward",
        name: Some(pod),
        namespace: Some(namespace),
    };
    let api: Api<Pod> = Api::namespaced(access.client.clone(), namespace);
    let mut forwarder = access
        .within(&ask, api.portforward(pod, &[port]))
        .await?
        .map_err(|error| upgrade_error(&ask, error))?;
    // Dropping the forwarder leaves its task, which ends with the stream.
    match (forwarder.take_stream(port), forwarder.take_error(port)) {
        (Some(stream), Some(complaint)) => Ok(Box::new(Forwarded {
            stream,
            complaint: Some(Box::pin(complaint)),
        })),
        _ => Err(ClusterError::Refused {
            what: ask.to_string(),
            message: format!("port {port} was not opened"),
        }),
    }
}

/// A refused upgrade comes without the API server's words.
fn upgrade_error(ask: &Ask<'_>, error: kube::Error) -> ClusterError {
    use kube::client::UpgradeConnectionError::ProtocolSwitch;
    match &error {
        kube::Error::UpgradeConnection(ProtocolSwitch(StatusCode::FORBIDDEN)) => ClusterError::Forbidden {
            what: ask.to_string(),
            rule: ask.rule(),
        },
        kube::Error::UpgradeConnection(_) => ClusterError::Refused {
            what: ask.to_string(),
            message: chain(&error),
        },
        _ => ClusterError::of(ask, error),
    }
}

/// What the kubelet says about a port that cannot be used; nothing once there is nobody left to say it.
type Complaint = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// A port of a pod. Its end is an error if the kubelet has said why.
///
/// The kubelet's words come beside the bytes, just before their end, and are not to be lost between the two.
struct Forwarded<S> {
    stream: S,
    /// Absent once it has been heard, or cannot come any more.
    complaint: Option<Complaint>,
}

impl<S> Forwarded<S> {
    fn complaint(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        let Some(complaint) = &mut self.complaint else {
            return Poll::Ready(None);
        };
        let said = ready!(complaint.as_mut().poll(cx));
        self.complaint = None;
        Poll::Ready(said.map(|said| io::Error::other(said.trim().to_owned())))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Forwarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if matches!(&read, Poll::Ready(Ok(()))) && (buf.filled().len() > before || buf.remaining() == 0) {
            return read;
        }
        // Nothing is there to be read: the end, or not yet. The words were sent before the end was.
        match this.complaint(cx) {
            Poll::Ready(Some(error)) => Poll::Ready(Err(error)),
            Poll::Ready(None) | Poll::Pending => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Forwarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if matches!(&written, Poll::Ready(Err(_)))
            && let Poll::Ready(Some(error)) = this.complaint(cx)
        {
            return Poll::Ready(Err(error));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::http::{get, send};

    const WORDS: &str = "dial tcp4 127.0.0.1:9901: connect: connection refused";

    /// A port, the pod's side of it, and the way for the kubelet's words.
    fn port() -> (Stream, tokio::io::DuplexStream, tokio::sync::oneshot::Sender<String>) {
        let (stream, far) = tokio::io::duplex(1024);
        let (tell, told) = tokio::sync::oneshot::channel::<String>();
        let complaint: Complaint = Box::pin(async { told.await.ok() });
        let port = Forwarded {
            stream,
            complaint: Some(complaint),
        };
        (Box::new(port), far, tell)
    }

    async fn asked(port: Stream) -> String {
        let error = send(port, "edge-0", get("/status", None).unwrap()).await.unwrap_err();
        error.to_string()
    }

    #[tokio::test]
    async fn the_words_of_the_kubelet_are_told_whenever_they_come() {
        // Before anybody has read.
        let (stream, far, tell) = port();
        tell.send(WORDS.to_owned()).unwrap();
        drop(far);
        let told = asked(stream).await;
        assert!(told.contains(WORDS), "{told}");

        // While the answer is waited for, and the pod's side stays open.
        let (stream, mut far, tell) = port();
        let asking = tokio::spawn(asked(stream));
        let mut request = [0; 16];
        far.read_exact(&mut request).await.unwrap();
        tell.send(WORDS.to_owned()).unwrap();
        let told = asking.await.unwrap();
        assert!(told.contains(WORDS), "{told}");

        // With the end, in one go.
        let (stream, mut far, tell) = port();
        let asking = tokio::spawn(asked(stream));
        far.read_exact(&mut request).await.unwrap();
        drop(far);
        tell.send(WORDS.to_owned()).unwrap();
        let told = asking.await.unwrap();
        assert!(told.contains(WORDS), "{told}");
    }

    #[tokio::test]
    async fn bytes_that_came_before_the_words_are_read_first_and_an_end_without_words_is_one() {
        let (mut stream, mut far, tell) = port();
        far.write_all(b"last").await.unwrap();
        tell.send(WORDS.to_owned()).unwrap();
        drop(far);
        let mut read = Vec::new();
        let error = stream.read_to_end(&mut read).await.unwrap_err();
        assert_eq!((read.as_slice(), error.to_string().as_str()), (&b"last"[..], WORDS));

        let (mut stream, far, tell) = port();
        drop((far, tell));
        assert_eq!(stream.read_to_end(&mut read).await.unwrap(), 0);
    }
}
