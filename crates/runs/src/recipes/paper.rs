//! The recipes of the paper's figures, at four scales, embedded in the program.

use std::fmt;
use std::path::{Path, PathBuf};

use super::expand::Plan;
use crate::Result;

/// The figures of the paper.
pub const FIGURES: u8 = 15;

/// How large the runs of a figure are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Seconds to minutes: shows that everything works, not whether the findings hold.
    Smoke,
    /// Minutes to hours on two cores: fewer examples, narrower networks, fewer learning rates and seeds.
    Laptop,
    /// Days on two cores: the smallest at which the trends of the paper can show.
    Desk,
    /// The paper's own grid and data: hours to weeks.
    Paper,
}

impl Scale {
    /// All scales, the smallest first.
    pub const ALL: [Self; 4] = [Self::Smoke, Self::Laptop, Self::Desk, Self::Paper];

    /// Its name and that of its folder of recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Laptop => "laptop",
            Self::Desk => "desk",
            Self::Paper => "paper",
        }
    }
}

/// A figure of the paper at a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaperFigure {
    /// Its number, from 1 to [`FIGURES`].
    number: u8,
    scale: Scale,
}

/// The recipes of a figure at each scale.
macro_rules! recipes {
    ($($number:literal)*) => {
        [$([
            include_str!(concat!("../../../../recipes/smoke/fig", $number, ".toml")),
            include_str!(concat!("../../../../recipes/laptop/fig", $number, ".toml")),
            include_str!(concat!("../../../../recipes/desk/fig", $number, ".toml")),
            include_str!(concat!("../../../../recipes/paper/fig", $number, ".toml")),
        ]),*]
    };
}

const RECIPES: [[&str; Scale::ALL.len()]; FIGURES as usize] = recipes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

impl PaperFigure {
    /// The figure with a number from 1 to [`FIGURES`]; none for another number.
    pub fn new(number: u8, scale: Scale) -> Option<Self> {
        (1..=FIGURES).contains(&number).then_some(Self { number, scale })
    }

    /// All figures at a scale.
    pub fn all(scale: Scale) -> impl Iterator<Item = Self> {
        (1..=FIGURES).map(move |number| Self { number, scale })
    }

    /// The recipe, to be copied and edited.
    pub const fn recipe(self) -> &'static str {
        RECIPES[self.number as usize - 1][self.scale as usize]
    }

    /// The file of the recipe in the source.
    pub fn file(self) -> PathBuf {
        Path::new("recipes").join(self.scale.name()).join(format!("{self}.toml"))
    }

    /// The runs.
    ///
    /// # Errors
    /// As [`Plan::parse`].
    pub fn plan(self) -> Result<Plan> {
        Plan::parse(&self.file(), self.recipe())
    }
}

impl fmt::Display for PaperFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fig{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_recipe_that_can_be_drawn_at_every_scale() {
        for figure in Scale::ALL.into_iter().flat_map(PaperFigure::all) {
            let plan = figure.plan().unwrap();
            let title = format!("Figure {}:", figure.number);
            assert!(plan.title.starts_with(&title), "{}: {}", figure.file().display(), plan.title);
            assert!(plan.figure.is_some() && !plan.runs.is_empty(), "{}", figure.file().display());
            let published = plan.blocks.iter().all(|block| block.published.is_some());
            assert!(published, "{} has the published points beside its own", figure.file().display());
        }
    }

    #[test]
    fn there_is_no_other_figure() {
        assert_eq!(PaperFigure::new(0, Scale::Paper), None, "figures are counted from 1");
        assert_eq!(PaperFigure::new(16, Scale::Paper), None, "there are fifteen");
    }
}
