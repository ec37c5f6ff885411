//! Stub.

pub(crate) const CHILD_FLAG: &str = "--child";
pub(crate) fn child(_: &[String]) -> anyhow::Result<()> {
    Ok(())
}
pub(crate) fn run() -> anyhow::Result<Vec<crate::figures::Promise>> {
    Ok(Vec::new())
}
