//! An adapter for sources whose paths are relative.

use std::path::PathBuf;

use salver_core_loader::SourceAdapter;
use salver_core_servable::ServableId;
use salver_core_status::Status;

use crate::VersionPath;

/// Puts a folder before the path of every version; one that begins at the root comes below the folder all the same, as
/// in TensorFlow Serving.
#[derive(Clone, Debug)]
pub struct PrefixPath(pub PathBuf);

impl SourceAdapter<VersionPath, VersionPath> for PrefixPath {
    fn convert(&self, _id: &ServableId, data: VersionPath) -> Result<VersionPath, Status> {
        let below = data.path.strip_prefix("/").unwrap_or(&data.path);
        Ok(VersionPath { path: self.0.join(below) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_servable::Version;

    fn check(path: &str, expected: &str) {
        let id = ServableId::new("m", Version::new(1).unwrap());
        let converted = PrefixPath("/models".into()).convert(&id, VersionPath { path: path.into() });
        assert_eq!(converted, Ok(VersionPath { path: expected.into() }));
    }

    #[test]
    fn every_path_is_below_the_prefix_one_that_begins_at_the_root_too() {
        check("digits/1", "/models/digits/1");
        check("/other/digits/1", "/models/other/digits/1");
    }
}
