//! How the client reaches its server: the address, what is trusted (a certificate authority, known by
//! its pin), TLS 1.3 and HTTP/2 with our own dialing, the token that goes with every call, and when a
//! call is made again.

mod address;
mod dial;
mod keeper;
mod pace;
mod patience;
mod pin;
mod session;
mod trust;
mod verify;

pub(crate) use address::Address;
pub(crate) use dial::{Dialer, probe};
pub(crate) use keeper::{Keeper, Login, lock, tokens};
pub(crate) use pace::Timetable;
pub(crate) use patience::{Patience, Repeat};
pub(crate) use pin::Pin;
pub(crate) use session::{Opening, Session};
pub(crate) use trust::{Asked, Trusted};
