//! What version 1 and version 2 of the sample model answer.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::ensure;
use bytes::Bytes;

use super::control;
use crate::built;
use crate::client::{Connection, Request, Transport};
use crate::messages;

pub(super) const DIGITS: &str = "digits";

/// A request for the sample model, whatever version serves it, and the answer of each.
pub(super) struct Subject {
    pub(super) request: Request,
    /// By version, from 1.
    pub(super) answers: [Bytes; 2],
}

impl Subject {
    /// Takes both answers from a server. It serves version 2 in the end.
    pub(super) async fn prepare(server: SocketAddr, transport: Transport) -> anyhow::Result<Self> {
        let request = messages::digits()?.request(transport);
        let mut answers = [Bytes::new(), Bytes::new()];
        for (version, answer) in (1..).zip(&mut answers) {
            control::reload(server, control::only(DIGITS, &folder(), version)).await?;
            let found = Connection::open(server, &request).await?.ask().await?;
            messages::check(transport, true, &found)?;
            *answer = found.body;
        }
        let [first, second] = &answers;
        ensure!(first != second, "nobody can tell which version answered");
        Ok(Self { request, answers })
    }
}

/// Where its versions are.
pub(super) fn folder() -> std::path::PathBuf {
    built::digits_repository().join(Path::new(DIGITS))
}
