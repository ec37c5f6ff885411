//! What libtorch says when it fails, in a line.

use salver_core_status::Status;
use tch::TchError;

/// What went wrong, without the frames of C++ below it.
pub(crate) fn said(error: &TchError) -> String {
    /// So many bytes of a message are shown: libtorch may quote a module's code.
    const SHOWN: usize = 600;
    let text = match error {
        TchError::Torch(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.split("Exception raised from").next().unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut text = lines.join("; ");
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// INTERNAL with what libtorch said.
pub(crate) fn internal(error: &TchError) -> Status {
    Status::internal(format!("libtorch: {}", said(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_of_cpp_are_left_out() {
        let error = TchError::Torch(
            "mat1 and mat2 shapes cannot be multiplied\n\nException raised from meta at x.cpp:1\nframe #0"
                .to_owned(),
        );
        assert_eq!(said(&error), "mat1 and mat2 shapes cannot be multiplied");
        let long = TchError::Torch("é".repeat(1000));
        assert!(said(&long).len() < 700);
    }
}
