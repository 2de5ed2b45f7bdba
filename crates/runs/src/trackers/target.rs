//! The trackers by name, and their places.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::tracker::Open;
use super::{mlflow, tensorboard};

/// The trackers: the name, the form of a place, and how to read one.
const KINDS: [(&str, &str, ReadPlace); 2] =
    [("tensorboard", "DIR", tensorboard::place), ("mlflow", "URL[#EXPERIMENT]", mlflow::place)];

/// Reads a place, and writes it so that it is the same from another directory and in another environment; or says what is wrong with it.
type ReadPlace = fn(&str) -> Result<(String, Arc<Open>), String>;

/// A tracker and a place in it: `tensorboard=DIR` or `mlflow=URL#EXPERIMENT`. It is written with an absolute path, or the experiment.
#[derive(Clone)]
pub struct TrackerTarget {
    text: String,
    pub(super) open: Arc<Open>,
}

impl FromStr for TrackerTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, place) = text.split_once('=').unwrap_or((text, ""));
        let Some((_, _, read)) = KINDS.iter().find(|(kind, ..)| *kind == name) else {
            let forms: Vec<String> = KINDS.iter().map(|(name, place, _)| format!("{name}={place}")).collect();
            return Err(format!("no tracker is named '{name}'; give {}", forms.join(" or ")));
        };
        let (place, open) = read(place)?;
        Ok(Self { text: format!("{name}={place}"), open })
    }
}

impl fmt::Display for TrackerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TrackerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrackerTarget").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::TrackerTarget;

    #[test]
    fn a_target_names_a_tracker_and_a_place() {
        for text in ["mlflow=http://127.0.0.1:5000/#a", "mlflow=https://host/path#my runs"] {
            let target: TrackerTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text.replace("/#", "#"));
        }
        let target = "tensorboard=logs".parse::<TrackerTarget>().unwrap().to_string();
        assert!(Path::new(target.strip_prefix("tensorboard=").unwrap()).is_absolute(), "{target}");
        assert!(target.ends_with("logs"), "{target}");
        for (text, part) in [
            ("wandb=x", "tensorboard=DIR or mlflow=URL[#EXPERIMENT]"),
            ("tensorboard", "names no directory"),
            ("tensorboard=", "names no directory"),
            ("mlflow=host:5000", "http:// or https://"),
            ("mlflow=ftp://host", "http:// or https://"),
            ("mlflow=http://me:secret@host", "MLFLOW_TRACKING_USERNAME"),
            ("mlflow=http://", "names no host"),
        ] {
            let error = text.parse::<TrackerTarget>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "a password is not repeated: {error}");
        }
    }
}
