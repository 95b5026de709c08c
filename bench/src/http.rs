//! A keep-alive HTTP/1.1 connection with one request in flight, written by hand: the client shares
//! the cores with what it measures, and a general client costs it two to three times this.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// More than any answer that the commands expect.
const ANSWER_LIMIT: usize = 64 * 1024;

pub(crate) struct Connection {
    stream: TcpStream,
    server: SocketAddr,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await.map_err(|e| format!("connecting to {server}: {e}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, server, outgoing: Vec::new(), incoming: Vec::new() })
    }

    /// Sends a JSON body and returns the body of the answer, which must be a 200.
    pub(crate) async fn post(&mut self, target: &str, body: &[u8]) -> Result<&[u8]> {
        use std::io::Write;
        self.outgoing.clear();
        write!(
            self.outgoing,
            "POST {target} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.server,
            body.len()
        )?;
        self.outgoing.extend_from_slice(body);
        self.stream.write_all(&self.outgoing).await?;
        let body_at = self.receive().await?;
        Ok(&self.incoming[body_at..])
    }

    /// Reads one whole answer and says where its body begins.
    async fn receive(&mut self) -> Result<usize> {
        self.incoming.clear();
        let mut expected = None;
        loop {
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err("the server closed the connection instead of answering".into());
            }
            if expected.is_none() {
                expected = head(&self.incoming)?;
            }
            if let Some((body_at, length)) = expected
                && self.incoming.len() >= body_at + length
            {
                return Ok(body_at);
            }
            if self.incoming.len() > ANSWER_LIMIT {
                return Err(format!("an answer of more than {ANSWER_LIMIT} bytes").into());
            }
        }
    }
}

/// Where the body begins and how long it is; `None` until the head is complete.
fn head(received: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&received[..end])?;
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(format!("expected status 200, got: {}", text.lines().next().unwrap_or_default()).into());
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    match length {
        Some(length) => Ok(Some((end + 4, length))),
        None => Err("an answer without content-length, which this client cannot read".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_head() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\ncontent-len").unwrap(), None);
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{}").unwrap(), Some((39, 12)));
        assert!(head(b"HTTP/1.1 500 Internal\r\ncontent-length: 0\r\n\r\n").unwrap_err().to_string().contains("500"));
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
