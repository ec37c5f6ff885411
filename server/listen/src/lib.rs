//! Accepts connections, bounds what they may take, and drains them.
//!
//! One port speaks HTTP/1.1 and HTTP/2, so gRPC and REST share it. What a server of strangers' requests needs is
//! here: a limit on connections, a budget for the bodies under way ([`Budget`]), time-outs for headers, and an orderly
//! end in which requests under way are finished. What requests mean is not known here.

mod authority;
mod budget;
mod greeting;
mod listener;
mod reads;
mod serve;
mod stall;

pub use budget::Budget;
pub use listener::Listener;
pub use serve::{Options, Outcome, serve};
