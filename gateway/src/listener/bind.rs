//! Listeners: passed by systemd, or bound to an address.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use crate::BoxError;

/// Length of the kernel's queue of connections, as `TcpListener::bind` has it.
const BACKLOG: u32 = 1024;

/// Returns the message for an address that cannot be bound. `setting` names the place of another one.
pub(crate) fn bind_error(address: SocketAddr, error: &BoxError, setting: &str) -> String {
    let is_in_use = |it: &io::Error| it.kind() == io::ErrorKind::AddrInUse;
    let remedy = if error.downcast_ref().is_some_and(is_in_use) {
        "; to replace a gateway that listens there, set reuse_port = true under [server] in both files"
    } else {
        ""
    };
    format!("cannot listen on {address}: {error}; choose another address {setting}{remedy}")
}

/// Listeners that systemd, or another parent, has opened and keeps open: the first is that of `[server]`, the second that
/// of `[admin]` (`sd_listen_fds(3)`).
pub(crate) struct PassedListeners {
    #[cfg(unix)]
    listeners: listenfd::ListenFd,
    #[cfg(unix)]
    next: usize,
}

impl PassedListeners {
    pub(crate) fn from_env() -> Self {
        Self {
            #[cfg(unix)]
            listeners: listenfd::ListenFd::from_env(),
            #[cfg(unix)]
            next: 0,
        }
    }

    #[cfg(unix)]
    fn take(&mut self) -> io::Result<Option<TcpListener>> {
        if self.next >= self.listeners.len() {
            return Ok(None);
        }
        let index = self.next;
        self.next += 1;
        let Some(listener) = self.listeners.take_tcp_listener(index)? else {
            return Ok(None);
        };
        if !is_listening(&listener)? {
            return Err(io::Error::other("it is a connection, or does not listen"));
        }
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Some)
    }

    /// Returns the number of listeners that nothing uses. Their clients wait without end.
    #[cfg(unix)]
    pub(crate) fn unused(&self) -> usize {
        self.listeners.len().saturating_sub(self.next)
    }

    #[cfg(not(unix))]
    pub(crate) fn unused(&self) -> usize {
        0
    }

    #[cfg(not(unix))]
    fn take(&mut self) -> io::Result<Option<TcpListener>> {
        Ok(None)
    }
}

/// Returns `false` for a socket that never has a connection to accept, such as those of `Accept=yes`. Systems that cannot
/// tell it report an error later.
#[cfg(target_os = "linux")]
fn is_listening(socket: impl std::os::fd::AsFd) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_listening(_: impl std::os::fd::AsFd) -> io::Result<bool> {
    Ok(true)
}

/// A listener.
pub(crate) struct Listener {
    pub(super) tcp: TcpListener,
    /// Another process has it open, too, and accepts the connections that this one leaves.
    pub(super) is_shared: bool,
    /// Another process may have a listener of its own on the port.
    reuse_port: bool,
}

impl Listener {
    /// Takes the next listener that was passed, or binds one.
    pub(crate) fn open(
        address: SocketAddr,
        reuse_port: bool,
        passed: &mut PassedListeners,
    ) -> Result<Self, BoxError> {
        let taken = passed.take().map_err(|error| {
            format!("the listener that the parent process passes is no TCP listener: {error}; let the socket unit have ListenStream, without Accept")
        })?;
        if let Some(tcp) = taken {
            return Ok(Self {
                tcp,
                is_shared: true,
                reuse_port: false,
            });
        }
        Ok(Self {
            tcp: bind(address, reuse_port)?,
            is_shared: false,
            reuse_port,
        })
    }

    /// Lets the other listeners on the port complete handshakes that are new from now on. Returns `true` if older ones
    /// need time to end.
    ///
    /// Linux chooses the listener at the first packet, and resets a connection whose listener has closed before the last.
    /// With a backlog of 0 it sends SYN cookies, which any listener on the port accepts, for all but one handshake at a
    /// time, and queues at most one connection, so that at most these two are reset.
    #[cfg(target_os = "linux")]
    pub(super) fn release_handshakes(&self) -> bool {
        if !self.reuse_port || migrates_handshakes() {
            return false;
        }
        let released = rustix::net::listen(&self.tcp, 0);
        if let Err(error) = released {
            tracing::warn!("connections that are being opened may be reset: {error}");
        }
        released.is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn release_handshakes(&self) -> bool {
        false
    }

    /// Returns the address, with the port that the system has chosen.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    pub(crate) fn into_tcp(self) -> TcpListener {
        self.tcp
    }
}

/// Returns `true` if the kernel passes the handshakes of a closed listener to another one (Linux 5.14).
#[cfg(target_os = "linux")]
fn migrates_handshakes() -> bool {
    let setting = std::fs::read("/proc/sys/net/ipv4/tcp_migrate_req");
    setting.is_ok_and(|value| value.starts_with(b"1"))
}

fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // On Windows the option lets another process take the port.
    #[cfg(unix)]
    {
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(reuse_port)?;
    }
    #[cfg(not(unix))]
    let _ = reuse_port;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_no_listeners() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("connected");
        let (accepted, _) = listener.accept().expect("a connection");
        assert!(is_listening(&listener).expect("a socket"));
        for connection in [&client, &accepted] {
            assert!(!is_listening(connection).expect("a socket"));
        }
    }
}
