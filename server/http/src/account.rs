//! What a request's memory is charged to.

use std::fmt;
use std::sync::Arc;

use http::Extensions;
use salver_core_status::Status;

/// Takes memory for a request that what arrived of it does not account for: what it inflates to, what it stands for.
///
/// Whoever accepts requests puts one among a request's extensions, and gives back what was taken when the request is
/// answered. Clones share it.
#[derive(Clone)]
pub struct Account(Option<Arc<Take>>);

type Take = dyn Fn(usize) -> Result<(), Status> + Send + Sync;

impl Account {
    /// An account of which `take` takes bytes, or says why it may not.
    pub fn new(take: impl Fn(usize) -> Result<(), Status> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }

    /// The account of the request with these extensions; one without a limit where nobody put one there.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or(Self(None))
    }

    /// Takes `bytes` more. To be called before they are used.
    ///
    /// # Errors
    /// UNAVAILABLE where requests under way take too much already.
    pub fn take(&self, bytes: usize) -> Result<(), Status> {
        self.0.as_ref().map_or(Ok(()), |take| take(bytes))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_an_account_may_take_anything() {
        assert_eq!(Account::of(&Extensions::new()).take(usize::MAX), Ok(()));
    }

    #[test]
    fn a_request_s_account_is_among_its_extensions() {
        let mut extensions = Extensions::new();
        extensions.insert(Account::new(|_| Err(Status::unavailable("full"))));
        assert_eq!(Account::of(&extensions).take(1), Err(Status::unavailable("full")));
    }
}
