//! Draws conclusions from runs: figures, findings and verdicts. Reads runs and never writes one.
//!
//! | module | subject |
//! | --- | --- |
//! | [`claims`] | findings, judged by runs and by the paper's own numbers |
//! | [`figures`] | the points of a figure, its picture, tables and caption |
//! | [`page`] | all of it as one page of HTML |
//!
//! ```
//! use sharpness_study::claims::{Claims, Finding, Verdict};
//!
//! // Without runs, by the numbers that the paper published.
//! let claims = Claims::new(&Finding::paper()?, None)?;
//! let verdicts = claims.findings.iter().filter_map(|finding| finding.published.as_ref());
//! let (hold, others): (Vec<_>, Vec<_>) = verdicts.partition(|judgement| judgement.verdict == Verdict::Holds);
//! assert!(hold.len() > others.len(), "{} hold, {} do not or are open", hold.len(), others.len());
//! # Ok::<(), sharpness_study::Error>(())
//! ```

pub mod claims;
mod error;
pub mod figures;
pub mod page;

pub use error::{Error, Result};
