//! Small files that people write.

use std::io::ErrorKind;
use std::path::Path;

use salver_core_status::Status;

/// More than any settings need; less than what hurts to read.
const LONGEST: u64 = 1 << 20;

/// The text of a file; `None` where there is none.
///
/// # Errors
/// INVALID_ARGUMENT naming what is there in place of a file, whose reading might never end, or how long the file is, or that
/// it is no text; UNAVAILABLE where it cannot be read.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, Status> {
    let shown = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
        ErrorKind::InvalidData => Err(Status::invalid_argument(format!("`{shown}` is not UTF-8"))),
        _ => Err(Status::unavailable(format!("reading `{shown}`: {error}"))),
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return failed(error),
    };
    if !metadata.is_file() {
        return Err(Status::invalid_argument(format!("`{shown}` is not a file")));
    }
    if metadata.len() > LONGEST {
        let length = metadata.len();
        return Err(Status::invalid_argument(format!(
            "`{shown}` has {length} bytes, at most {LONGEST} may be"
        )));
    }
    std::fs::read_to_string(path).map(Some).or_else(failed)
}
