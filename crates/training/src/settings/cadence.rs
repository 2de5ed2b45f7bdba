//! How often something is done in a training.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How often something is done in a training: `2 epochs`, `50 steps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// At the end of every so many epochs.
    Epochs(u32),
    /// After every so many steps.
    Steps(u32),
}

impl Cadence {
    /// Whether the step with this number, from 1, is one of those.
    pub const fn is_step(self, step: u32) -> bool {
        matches!(self, Self::Steps(every) if step.is_multiple_of(every))
    }

    /// Whether the epoch with this number, from 1, is one of those.
    pub const fn is_epoch(self, epoch: u32) -> bool {
        matches!(self, Self::Epochs(every) if epoch.is_multiple_of(every))
    }
}

impl Default for Cadence {
    /// Every epoch.
    fn default() -> Self {
        Self::Epochs(1)
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epochs(1) => f.write_str("1 epoch"),
            Self::Epochs(every) => write!(f, "{every} epochs"),
            Self::Steps(1) => f.write_str("1 step"),
            Self::Steps(every) => write!(f, "{every} steps"),
        }
    }
}

impl FromStr for Cadence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("expected a number of epochs or steps, such as '2 epochs' or '50 steps', got '{text}'")
        };
        let text = text.trim();
        let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let every: u32 = text[..unit].parse().map_err(|_| wrong())?;
        if every == 0 {
            return Err(wrong());
        }
        match text[unit..].trim() {
            "epoch" | "epochs" => Ok(Self::Epochs(every)),
            "step" | "steps" => Ok(Self::Steps(every)),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Cadence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cadence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Cadence;

    #[test]
    fn a_cadence_is_read_as_it_is_written() {
        for (text, cadence) in [
            ("1 epoch", Cadence::Epochs(1)),
            ("2 epochs", Cadence::Epochs(2)),
            ("1 step", Cadence::Steps(1)),
            ("50 steps", Cadence::Steps(50)),
        ] {
            assert_eq!(text.parse(), Ok(cadence));
            assert_eq!(cadence.to_string(), text);
        }
        assert_eq!("10steps".parse(), Ok(Cadence::Steps(10)));
        for text in ["", "steps", "0 steps", "5", "-1 steps", "5 days", "99999999999 steps", "1.5 epochs"] {
            assert!(text.parse::<Cadence>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cadence_of_epochs_is_none_of_steps() {
        assert!(Cadence::Steps(3).is_step(6) && !Cadence::Steps(3).is_step(7));
        assert!(!Cadence::Steps(3).is_epoch(6) && !Cadence::Epochs(3).is_step(6));
        assert!(Cadence::Epochs(3).is_epoch(6) && !Cadence::Epochs(3).is_epoch(7));
    }
}
