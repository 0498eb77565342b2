//! Copies bytes between two streams, both ways, until both ends are done.

use std::io;
use std::time::Duration;

use carboy_engine::Direction;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long a tunnel may be without a byte either way. Pools of database connections and
/// long-lived subscriptions stay silent for many minutes.
pub(crate) const TUNNEL_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// The buffer for each way: an idle tunnel takes two.
pub(crate) const RELAY_BUFFER_BYTES: usize = 16 * 1024;

/// How many bytes went which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) from_client: u64,
    pub(crate) from_server: u64,
}

/// When a byte last moved, for both ways of one connection.
#[derive(Clone)]
pub(crate) struct Activity(watch::Sender<Instant>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Instant::now()))
    }

    pub(crate) fn touch(&self) {
        self.0.send_replace(Instant::now());
    }

    /// Reads until there is something, the end, or no byte has moved either way for too long.
    pub(crate) async fn read<R>(&self, from: &mut R, buffer: &mut [u8]) -> io::Result<usize>
    where
        R: AsyncRead + Unpin,
    {
        loop {
            let until = *self.0.borrow() + TUNNEL_IDLE_TIMEOUT;
            match timeout_at(until, from.read(buffer)).await {
                Ok(read) => {
                    self.touch();
                    return read;
                }
                Err(_) if *self.0.borrow() + TUNNEL_IDLE_TIMEOUT > Instant::now() => {}
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }
}

/// Copies both ways until both have ended, one has broken, none has moved for
/// [`TUNNEL_IDLE_TIMEOUT`], or `count` has had enough: it is told of bytes before they go on.
pub(crate) async fn relay<C, S>(
    client: C,
    server: S,
    count: impl Fn(Direction, u64) -> io::Result<()>,
) -> Moved
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut server_read, mut server_write) = tokio::io::split(server);
    let activity = Activity::new();
    let (mut from_client, mut from_server) = (0, 0);
    let ended = tokio::try_join!(
        copy(&mut client_read, &mut server_write, &activity, |bytes| {
            count(Direction::Outbound, bytes)?;
            from_client += bytes;
            Ok(())
        }),
        copy(&mut server_read, &mut client_write, &activity, |bytes| {
            count(Direction::Inbound, bytes)?;
            from_server += bytes;
            Ok(())
        }),
    );
    if let Err(error) = ended {
        tracing::debug!(%error, "a relay broke off");
    }
    Moved {
        from_client,
        from_server,
    }
}

/// Copies one way, then passes the end on.
async fn copy<R, W>(
    from: &mut R,
    to: &mut W,
    activity: &Activity,
    mut count: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; RELAY_BUFFER_BYTES];
    loop {
        let read = activity.read(from, &mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        count(read as u64)?;
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        activity.touch();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn bytes_and_ends_pass_both_ways() {
        let (mut client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let relaying = tokio::spawn(relay(near, far, |_, _| Ok(())));

        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");

        server.write_all(b"a longer answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "a longer answer");
        let moved = relaying.await.unwrap();
        assert_eq!((moved.from_client, moved.from_server), (8, 15));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_relay_without_any_byte_is_cut() {
        let (client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let relaying = tokio::spawn(relay(near, far, |_, _| Ok(())));
        let start = Instant::now();
        tokio::time::sleep(TUNNEL_IDLE_TIMEOUT / 2).await;
        server.write_all(b"ping").await.unwrap();
        relaying.await.unwrap();
        assert_eq!(
            start.elapsed(),
            TUNNEL_IDLE_TIMEOUT + TUNNEL_IDLE_TIMEOUT / 2
        );
        drop(client);
    }
}
