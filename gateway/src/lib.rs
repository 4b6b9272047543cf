//! The agents' side of muster: enrollment on port 1515 and the secure channel on port 1514.

pub mod codec;
