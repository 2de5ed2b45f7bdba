//! JSON files of a run.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;
use sharpness_network::files;

use crate::{Error, Result};

/// The size of the largest JSON document of a run, in bytes: λ_max through a million epochs fits.
const LIMIT: u64 = 512 << 20;

/// The content of a JSON file; `None` if there is no such file.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(content) = read_file(path)? else { return Ok(None) };
    let damaged = |problem: String| Error::damaged(path.to_owned(), problem);
    let value: Value =
        serde_json::from_slice(&content).map_err(|e| damaged(format!("it is not a JSON document ({e})")))?;
    let content = serde_path_to_error::deserialize(value);
    content.map(Some).map_err(|e| damaged(format!("this version cannot read its content ({e})")))
}

/// The bytes of a file of a run; `None` if there is no such file.
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match files::read(path, LIMIT) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        content => content.map(Some).map_err(Error::io("read", path)),
    }
}
