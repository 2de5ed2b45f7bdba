//! The tolerance to which an eigenvalue must be shown to be the extreme one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::range::{Range as _, Tolerance};

/// The fraction of an eigenvalue within which its bound must be, or `off`, which leaves the decision to its residual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundRtol(pub Option<f64>);

/// The text form of `None`.
const OFF: &str = "off";

impl BoundRtol {
    /// No bound.
    pub const fn off() -> Self {
        Self(None)
    }
}

impl FromStr for BoundRtol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == OFF {
            return Ok(Self::off());
        }
        let number =
            text.parse().map_err(|_| format!("expected a number below 1, such as 0.1, or `{OFF}`"))?;
        Tolerance::check(number).map(|rtol| Self(Some(rtol)))
    }
}

impl fmt::Display for BoundRtol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(rtol) => rtol.fmt(f),
            None => f.write_str(OFF),
        }
    }
}

impl Serialize for BoundRtol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(rtol) => serializer.serialize_f64(rtol),
            None => serializer.serialize_str(OFF),
        }
    }
}

impl<'de> Deserialize<'de> for BoundRtol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Rtol(f64),
            Word(String),
        }
        match Written::deserialize(deserializer)
            .map_err(|_| de::Error::custom("expected a number or `off`"))?
        {
            Written::Rtol(rtol) => {
                Tolerance::check(rtol).map(|rtol| Self(Some(rtol))).map_err(de::Error::custom)
            }
            Written::Word(word) => word.parse().map_err(de::Error::custom),
        }
    }
}
