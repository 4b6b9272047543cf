//! Ways in which an agent misbehaves, for tests of what the manager makes of it.

/// What an agent does against the rules; all off by default. May be changed while the agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// So many restarts from now on are answered `err Connection refused` and not carried out.
    pub refuse_restarts: u32,
    /// What happens to a restart that is not refused.
    pub on_restart: Reaction,
    /// So many "Agent started" events from now on get lost: a gap in the agent's counter is all that is left of each.
    pub lose_started: u32,
    /// The process ends without its shutdown message when it restarts, as after a hard kill.
    pub omit_shutdown: bool,
}

/// What an agent does with a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reaction {
    /// Answers `ok ` and restarts.
    #[default]
    Obey,
    /// Answers `ok ` and does nothing, as under a restart lock or with a broken configuration.
    AnswerOnly,
    /// Does not answer and does nothing.
    Ignore,
    /// Restarts without an answer.
    ObeySilently,
    /// Answers nothing, drops its connection without a shutdown message, and never comes back.
    Die,
}
