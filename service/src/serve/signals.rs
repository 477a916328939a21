//! The signals an operator sends: stop, stop at once, read keys and models again.

use tokio::sync::mpsc;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// Signals from now on.
///
/// # Errors
/// When the system lets none be caught.
#[cfg(unix)]
pub fn signals() -> std::io::Result<mpsc::UnboundedReceiver<Signal>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::unbounded_channel();
    let kinds = [
        (SignalKind::terminate(), Signal::Stop),
        (SignalKind::interrupt(), Signal::Stop),
        (SignalKind::hangup(), Signal::Reload),
    ];
    for (kind, meaning) in kinds {
        let (mut caught, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move { while caught.recv().await.is_some() && sender.send(meaning).is_ok() {} });
    }
    Ok(receiver)
}

/// Ctrl-C, elsewhere.
#[cfg(not(unix))]
pub fn signals() -> std::io::Result<mpsc::UnboundedReceiver<Signal>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() && sender.send(Signal::Stop).is_ok() {}
    });
    Ok(receiver)
}
