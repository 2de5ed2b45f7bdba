//! A figure as files: the picture, the table behind it, and the caption.

use std::path::{Path, PathBuf};

use sharpness_runs::write_file;
use sharpness_training::measures::SubsetSize;

use super::data::{Figure, Statistic};
use crate::{Error, Result};

/// The scale of the PNG relative to the drawing.
const SCALE: f32 = 2.0;
/// The font of PNGs, so that they look the same on every machine.
const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");

impl Figure {
    /// Writes `NAME.svg`, `NAME.png`, `NAME.csv` and `NAME.txt`, the caption, into a directory, and `NAME-examples.csv`
    /// if λ_max is known on several numbers of examples. Returns their paths.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be written; [`Error::Picture`] if the picture cannot be drawn.
    pub fn write(&self, dir: &Path, name: &str) -> Result<Vec<PathBuf>> {
        let (svg, png, csv) = (self.svg().into_bytes(), self.png()?, self.csv()?.into_bytes());
        let caption = format!("{}\n", self.caption()).into_bytes();
        let mut files = vec![(".svg", svg), (".png", png), (".csv", csv), (".txt", caption)];
        if !self.subset_sizes.is_empty() {
            files.push(("-examples.csv", self.examples_csv()?.into_bytes()));
        }
        write_all(dir, name, files)
    }

    /// The picture as PNG.
    ///
    /// # Errors
    /// [`Error::Picture`] if it cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>> {
        png(&self.svg())
    }

    /// The table behind the picture, as comma-separated values.
    ///
    /// # Errors
    /// [`Error::Picture`] if it cannot be written.
    pub fn csv(&self) -> Result<String> {
        let heads = [
            "panel",
            "line",
            "source",
            "x",
            "runs",
            "test_accuracy",
            "test_accuracy_deviation",
            "lambda_max",
            "lambda_max_deviation",
        ];
        let mut rows = Vec::new();
        for line in &self.lines {
            let panel = self.panels.get(line.panel).map_or("", String::as_str);
            let source = if line.is_published { "published" } else { "runs" };
            for point in &line.points {
                let deviation =
                    |number: Statistic| number.deviation.map_or_else(String::new, |d| d.to_string());
                rows.push(vec![
                    panel.to_owned(),
                    line.name.clone(),
                    source.to_owned(),
                    point.x.to_string(),
                    point.lambda_max.runs.to_string(),
                    point.accuracy.map_or_else(String::new, |accuracy| accuracy.mean.to_string()),
                    point.accuracy.map_or_else(String::new, deviation),
                    point.lambda_max.mean.to_string(),
                    deviation(point.lambda_max),
                ]);
            }
        }
        table(&heads, rows)
    }

    /// λ_max on several numbers of examples, as comma-separated values.
    ///
    /// # Errors
    /// [`Error::Picture`] if it cannot be written.
    pub fn examples_csv(&self) -> Result<String> {
        let heads = ["run", "examples", "subsets", "lambda_max", "lambda_max_deviation"];
        let mut rows = Vec::new();
        for (id, sizes) in &self.subset_sizes {
            for SubsetSize { examples, lambda_max, mean, deviation } in sizes {
                let deviation = deviation.map_or_else(String::new, |deviation| deviation.to_string());
                let (examples, subsets) = (examples.to_string(), lambda_max.len().to_string());
                rows.push(vec![id.clone(), examples, subsets, mean.to_string(), deviation]);
            }
        }
        table(&heads, rows)
    }
}

/// Writes `NAME` with each ending into a directory. Returns the paths.
pub(super) fn write_all(dir: &Path, name: &str, files: Vec<(&str, Vec<u8>)>) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    let mut paths = Vec::new();
    for (ending, content) in files {
        let path = dir.join(format!("{name}{ending}"));
        write_file(&path, &content)?;
        paths.push(path);
    }
    Ok(paths)
}

/// A picture as PNG.
pub(super) fn png(svg: &str) -> Result<Vec<u8>> {
    let wrong = |problem: String| Error::Picture(problem);
    let mut options = resvg::usvg::Options::default();
    options.fontdb_mut().load_font_data(FONT.to_vec());
    options.fontdb_mut().set_sans_serif_family("DejaVu Sans");
    let tree = resvg::usvg::Tree::from_str(svg, &options).map_err(|e| wrong(e.to_string()))?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let size = size.ok_or_else(|| wrong("it has no size".to_owned()))?;
    let pixels = resvg::tiny_skia::Pixmap::new(size.width(), size.height());
    let mut pixels = pixels.ok_or_else(|| wrong("it is too large".to_owned()))?;
    let scale = resvg::tiny_skia::Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| wrong(e.to_string()))
}

/// Comma-separated values.
pub(super) fn table(heads: &[&str], rows: Vec<Vec<String>>) -> Result<String> {
    let wrong = |problem: String| Error::Picture(problem);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(heads).map_err(|e| wrong(e.to_string()))?;
    for row in rows {
        writer.write_record(row).map_err(|e| wrong(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| wrong(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| wrong(e.to_string()))
}
