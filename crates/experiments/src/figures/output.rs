//! A figure as files: the picture, the table behind it, and a caption.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::axis::label;
use super::{Figure, Statistic};
use crate::store::atomic::{failed, replace};
use crate::{Error, Result};

/// The width of a picture of pixels, as a multiple of that of the drawing.
const SCALE: f32 = 2.0;
/// The font of pictures of pixels: they look the same on every machine.
const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");

impl Figure {
    /// Writes `NAME.svg`, `NAME.png`, `NAME.csv` and `NAME.txt`, the caption, into a directory. Gives their paths.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be written; [`Error::Picture`] if the picture cannot be made.
    pub fn write(&self, dir: &Path, name: &str) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(dir).map_err(failed("create", dir))?;
        let (svg, png, csv) = (self.svg().into_bytes(), self.png()?, self.csv()?.into_bytes());
        let caption = format!("{}\n", self.caption()).into_bytes();
        let mut paths = Vec::new();
        for (ending, content) in [("svg", svg), ("png", png), ("csv", csv), ("txt", caption)] {
            let path = dir.join(format!("{name}.{ending}"));
            replace(&path, &content)?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// The picture as PNG.
    ///
    /// # Errors
    /// [`Error::Picture`] if it cannot be made.
    pub fn png(&self) -> Result<Vec<u8>> {
        let wrong = |problem: String| Error::Picture(problem);
        let mut options = resvg::usvg::Options::default();
        options.fontdb_mut().load_font_data(FONT.to_vec());
        options.fontdb_mut().set_sans_serif_family("DejaVu Sans");
        let tree = resvg::usvg::Tree::from_str(&self.svg(), &options).map_err(|e| wrong(e.to_string()))?;
        let size = tree.size().to_int_size().scale_by(SCALE);
        let size = size.ok_or_else(|| wrong("it has no size".to_owned()))?;
        let pixels = resvg::tiny_skia::Pixmap::new(size.width(), size.height());
        let mut pixels = pixels.ok_or_else(|| wrong("it is too large".to_owned()))?;
        let scale = resvg::tiny_skia::Transform::from_scale(SCALE, SCALE);
        resvg::render(&tree, scale, &mut pixels.as_mut());
        pixels.encode_png().map_err(|e| wrong(e.to_string()))
    }

    /// The table behind the picture, as comma-separated values.
    ///
    /// # Errors
    /// [`Error::Picture`] if it cannot be written.
    pub fn csv(&self) -> Result<String> {
        let wrong = |problem: String| Error::Picture(problem);
        let mut writer = csv::Writer::from_writer(Vec::new());
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
        writer.write_record(heads).map_err(|e| wrong(e.to_string()))?;
        for line in &self.lines {
            let panel = self.panels.get(line.panel).map_or("", String::as_str);
            let source = if line.is_published { "published" } else { "runs" };
            for point in &line.points {
                let deviation =
                    |number: Statistic| number.deviation.map_or_else(String::new, |d| d.to_string());
                let cells = [
                    panel.to_owned(),
                    line.name.clone(),
                    source.to_owned(),
                    point.x.to_string(),
                    point.accuracy.runs.to_string(),
                    point.accuracy.mean.to_string(),
                    deviation(point.accuracy),
                    point.lambda_max.mean.to_string(),
                    deviation(point.lambda_max),
                ];
                writer.write_record(cells).map_err(|e| wrong(e.to_string()))?;
            }
        }
        let bytes = writer.into_inner().map_err(|e| wrong(e.to_string()))?;
        String::from_utf8(bytes).map_err(|e| wrong(e.to_string()))
    }

    /// What the picture shows: runs, examples, the batch norm of the measurements, and deviations from the paper.
    pub fn caption(&self) -> String {
        let mut text = format!("{}. ", self.title);
        let done = self.reports.len();
        // Writing to a string cannot fail.
        let _ = write!(text, "{done} of {} runs", self.planned);
        let distinct = |of: &dyn Fn(&crate::Report) -> Option<String>| {
            let all: BTreeSet<String> = self.reports.iter().filter_map(of).collect();
            all.into_iter().collect::<Vec<_>>().join(" or ")
        };
        if done > 0 {
            let data = distinct(&|report| Some(report.config.data.name.to_string()));
            let trained = distinct(&|report| Some(report.training.train_examples.to_string()));
            let target = distinct(&|report| Some(label(100.0 * report.config.training.target_accuracy)));
            let measured = distinct(&|report| Some(report.measurement.as_ref()?.examples.to_string()));
            let norm = distinct(&|report| Some(report.measurement.as_ref()?.batch_norm.clone()));
            let _ = write!(
                text,
                " on {trained} training examples of {data}, until {target} % of them are right; λ_max on {measured} of them, \
                 dropout off, batch norm: {norm}"
            );
        }
        text.push_str(
            ". Bars are standard deviations over seeds. Hollow, faint points are the published ones.",
        );
        if !self.spec.note.is_empty() {
            let _ = write!(text, " {}", self.spec.note);
        }
        text
    }
}
