//! Numbers of examples.

use std::str::FromStr;

/// Numbers of examples, separated by commas; `usize::MAX` stands for `all`.
#[derive(Clone, Debug)]
pub(crate) struct ExampleCounts(pub(crate) Vec<usize>);

impl FromStr for ExampleCounts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = |part: &str| match part.trim() {
            "all" => Ok(usize::MAX),
            part => part.parse().ok().filter(|count| *count > 0).ok_or_else(|| {
                format!("'{part}' is not a number of examples; write 5000, all, or 1000,5000,all")
            }),
        };
        text.split(',').map(count).collect::<Result<_, _>>().map(Self)
    }
}
