//! Names that the user states for tensors of a file.

use std::str::FromStr;

/// A tensor or a module of the file, and what it is called in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The name in the file, of a tensor (`net.0.weight`) or of a module (`net.0`).
    pub file: String,
    /// The name in the network.
    pub network: String,
}

impl Rename {
    /// Reads a line `FILE_NAME=NETWORK_NAME` for each; empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// The first line that is none of these, with its number.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, String> {
        let lines = text
            .lines()
            .zip(1..)
            .filter(|(line, _)| !line.trim().is_empty() && !line.trim().starts_with('#'));
        lines
            .map(|(line, number)| line.parse().map_err(|problem| format!("line {number}: {problem}")))
            .collect()
    }
}

impl FromStr for Rename {
    type Err = String;

    /// Reads `FILE_NAME=NETWORK_NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        // Names of a network have no equals sign.
        match text.rsplit_once('=').map(|(file, network)| (file.trim(), network.trim())) {
            Some((file, network)) if !file.is_empty() && !network.is_empty() => {
                Ok(Self { file: file.to_owned(), network: network.to_owned() })
            }
            _ => Err(format!(
                "expected FILE_NAME=NETWORK_NAME, as net.0=fc1 or net.0.weight=fc1.weight, got `{text}`"
            )),
        }
    }
}
