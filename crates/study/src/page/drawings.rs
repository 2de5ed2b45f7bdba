//! The figures of the page: those of the paper that have runs, and those of recipes.

use std::path::{Path, PathBuf};

use sharpness_runs::{PaperFigure, Plan, RunStore, Scale};

use crate::figures::Figure;
use crate::{Error, Result};

/// Where a figure comes from.
#[derive(Clone, Debug)]
pub enum Drawing {
    /// A figure of the paper at a scale.
    Paper(PaperFigure, Scale),
    /// The recipe in a file.
    Recipe(PathBuf),
}

/// A figure with the commands that reproduce it.
#[derive(Clone, Debug)]
pub struct PageFigure {
    /// The anchor of the figure.
    pub id: String,
    /// The figure.
    pub figure: Figure,
    /// The commands that draw it again.
    pub commands: String,
}

/// The paper's figures with finished runs, at all scales, and those of further recipes.
///
/// # Errors
/// If a recipe cannot be read or has no figure.
pub fn figures(
    store: &RunStore,
    recipes: &[PathBuf],
    commands: &dyn Fn(&Drawing) -> String,
) -> Result<Vec<PageFigure>> {
    let mut figures = Vec::new();
    let scales = Scale::ALL.into_iter().rev();
    for (scale, paper) in scales.flat_map(|scale| PaperFigure::all(scale).map(move |paper| (scale, paper))) {
        let figure = Figure::new(&paper.plan()?, store)?;
        if !figure.reports.is_empty() {
            let id = format!("{paper}-{}", scale.name());
            figures.push(PageFigure { id, figure, commands: commands(&Drawing::Paper(paper, scale)) });
        }
    }
    for recipe in recipes {
        let figure = Figure::new(&Plan::read(recipe)?, store).map_err(|error| match error {
            Error::Config { problem, .. } => Error::Config { key: recipe.display().to_string(), problem },
            error => error,
        })?;
        let commands = commands(&Drawing::Recipe(recipe.clone()));
        figures.push(PageFigure { id: name(recipe), figure, commands });
    }
    Ok(figures)
}

/// The name of a recipe: that of its file.
fn name(recipe: &Path) -> String {
    recipe.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}
