//! Notifications to systemd (`sd_notify(3)`): a service of `Type=notify` counts as started once it listens.

/// State of the gateway.
#[derive(Clone, Copy)]
pub(super) enum State {
    Ready,
    Stopping,
}

/// Notifies systemd, if it has started the process.
pub(super) fn notify(state: State) {
    #[cfg(target_os = "linux")]
    {
        let sent = match state {
            State::Ready => sd_notify::NotifyState::Ready,
            State::Stopping => sd_notify::NotifyState::Stopping,
        };
        if let Err(error) = sd_notify::notify(&[sent]) {
            tracing::warn!("cannot notify systemd: {error}");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = state;
}
