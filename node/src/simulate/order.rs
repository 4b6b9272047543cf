//! What the holder of an agent asks of it, as its operator and not as its manager.

/// An order to a running agent.
#[derive(Debug)]
pub(super) enum Order {
    /// Close the connection without a word and connect to the server of this index.
    MoveTo(usize),
    /// Send this payload as an event, if connected.
    Event(Vec<u8>),
    /// Restart, as if by command of the local operator.
    Restart,
    /// Send the shutdown message and end.
    Stop,
}
