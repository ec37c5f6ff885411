//! What the labels of one stream stand for.

use std::collections::BTreeMap;

use salver_core_servable::Version;

/// What a label stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelStatus {
    /// The version that it is to stand for.
    pub wanted: Version,
    /// The available version that it stands for: another while the wanted one is not available yet, or none.
    pub attached: Option<Version>,
}

/// The labels of one stream.
///
/// A label means the last version that was wanted of it while that was available; so it goes on meaning the former
/// one until the next is there, and again means the one it meant when that comes back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels(BTreeMap<String, Label>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Label {
    pub(crate) wanted: Version,
    /// The version it means, available or not; `None` until one has been.
    pub(crate) meant: Option<Version>,
}

impl Labels {
    pub(crate) fn get(&self, label: &str) -> Option<Label> {
        self.0.get(label).copied()
    }

    pub(crate) fn status(&self, is_available: impl Fn(Version) -> bool) -> BTreeMap<String, LabelStatus> {
        let status = |(name, label): (&String, &Label)| {
            let attached = label.meant.filter(|version| is_available(*version));
            (name.clone(), LabelStatus { wanted: label.wanted, attached })
        };
        self.0.iter().map(status).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a label moves when this version becomes available.
    pub(crate) fn any_waits_for(&self, version: Version) -> bool {
        self.0.values().any(|label| label.wanted == version && label.meant != Some(version))
    }

    /// With those labels moved that want a version that is available.
    pub(crate) fn moved(&self, is_available: impl Fn(Version) -> bool) -> Self {
        let wanted = self.0.iter().map(|(name, label)| (name.clone(), label.wanted)).collect();
        self.wanting(wanted, is_available)
    }

    /// With these labels in place of all others; those that stay mean what they meant.
    pub(crate) fn wanting(
        &self,
        wanted: BTreeMap<String, Version>,
        is_available: impl Fn(Version) -> bool,
    ) -> Self {
        let label = |(name, wanted): (String, Version)| {
            let meant =
                if is_available(wanted) { Some(wanted) } else { self.get(&name).and_then(|was| was.meant) };
            (name, Label { wanted, meant })
        };
        Self(wanted.into_iter().map(label).collect())
    }
}
