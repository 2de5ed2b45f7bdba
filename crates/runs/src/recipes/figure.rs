//! The figure of a recipe.

use serde::{Deserialize, Serialize};

/// The key of η, over which the edge of stability can be drawn.
pub const LEARNING_RATE: &str = "training.learning_rate";

/// The `[figure]` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureSpec {
    /// What is drawn.
    pub kind: FigureKind,
    /// The setting along the abscissa of lines, by its whole key; any that is a number.
    #[serde(default = "learning_rate")]
    pub x: String,
    /// Whether the edge of stability (`2/η` for plain SGD) is drawn among the values of λ_max: over learning rates one line for each
    /// optimizer, for curves that of each run.
    #[serde(default)]
    pub edge_of_stability: bool,
    /// How it differs from the paper, for the caption.
    #[serde(default)]
    pub note: String,
}

fn learning_rate() -> String {
    LEARNING_RATE.to_owned()
}

/// What a figure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FigureKind {
    /// Test accuracy and λ_max over a setting, with a line for each block.
    Lines,
    /// Test accuracy over λ_max, with a point for each setting.
    Scatter,
    /// λ_max through training over the steps, with a curve for each run.
    Curves,
}

/// Which published points belong to a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedLine {
    /// The figure, as `1` or `13a`.
    pub figure: String,
    /// The network, if the figure has several.
    pub network: Option<String>,
    /// The learning rate, if the figure has lines for several.
    pub learning_rate: Option<f64>,
    /// The batch size, if the figure has several.
    pub batch_size: Option<f64>,
    /// The ratio of batch size to learning rate, if the figure has several.
    pub ratio: Option<f64>,
}
