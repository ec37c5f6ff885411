//! Hashes of a file that is being written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use md5::Md5;
use salver_core_status::Status;
use sha2::{Digest, Sha256};

use crate::connect::Declared;

/// The hashes of what a file holds so far.
#[derive(Clone, Default)]
pub(super) struct Digests {
    sha256: Sha256,
    /// Only where a server says what it should be: it takes longer than the other.
    md5: Option<Md5>,
}

impl Digests {
    /// Of all that is in a file; afterwards it stands at its end.
    pub(super) fn of_file(file: &mut File, with_md5: bool) -> io::Result<Self> {
        let mut digests = Self { md5: with_md5.then(Md5::new), ..Self::default() };
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(digests);
            }
            digests.update(buffer.get(..read).unwrap_or_default());
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    pub(super) fn has_md5(&self) -> bool {
        self.md5.is_some()
    }

    /// The SHA-256 in hexadecimal.
    ///
    /// # Errors
    /// DATA_LOSS where the bytes are not those that the server spoke of.
    pub(super) fn check(self, declared: &Declared) -> Result<String, Status> {
        let sha256 = hex(&self.sha256.finalize());
        let wanted = declared.sha256.map(|hash| ("SHA-256", hex(&hash), sha256.clone()));
        let md5 = self.md5.map(|md5| hex(&md5.finalize()));
        let wanted_md5 = declared.md5.zip(md5).map(|(hash, md5)| ("MD5", hex(&hash), md5));
        for (name, wanted, found) in wanted.into_iter().chain(wanted_md5) {
            if wanted != found {
                return Err(Status::data_loss(format!("{name} is {found}, the server says {wanted}")));
            }
        }
        Ok(sha256)
    }
}

/// A SHA-256 over parts, none of which runs into the next.
pub(super) fn hash_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
