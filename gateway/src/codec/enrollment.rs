//! Enrollment (1): one request line, one answer, then both close. All of it inside TLS on port 1515.

mod answer;
mod groups;
mod line;
mod rejection;
mod request;

pub use answer::Answer;
pub use line::RequestLine;
pub use rejection::{Field, GroupFault, Rejection};
pub use request::{EnrollmentRequest, Rules};

/// A request that has not ended with a line feed after so many bytes is refused.
pub const MAX_REQUEST: usize = 65_536 + 4_096;
