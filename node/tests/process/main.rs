//! The program as a user meets it: exit codes, one line on stderr, what it leaves behind.

mod dev;
mod program;
mod serve;
mod usage;
