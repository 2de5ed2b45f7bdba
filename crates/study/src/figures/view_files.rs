//! A view as SVG, PNG, and a page for the mouse and the keyboard.

use std::path::{Path, PathBuf};

use sharpness_runs::write_file;

use super::view::{Content, View};
use super::{lines, map, output};
use crate::{Error, Result};

const SCRIPT: &str = include_str!("view.js");
const STYLE: &str = include_str!("view.css");

impl View {
    /// The picture as SVG.
    pub fn svg(&self) -> String {
        match &self.content {
            Content::Lines(content) => lines::svg(&self.title, content),
            Content::Map(content) => map::svg(&self.title, content),
        }
    }

    /// One page of HTML that loads nothing: the numbers under the mouse or a cursor that the arrow keys move, and switches for the logarithmic scale
    /// and the prediction.
    ///
    /// # Errors
    /// [`Error::Picture`] if the numbers cannot be written.
    pub fn html(&self) -> Result<String> {
        let data = serde_json::to_string(self).map_err(|e| Error::Picture(e.to_string()))?;
        // In strings alone, where JSON allows numeric escapes: nothing may end the script.
        let data = data.replace('<', "\\u003c");
        let colours = map::stops();
        let page = maud::html! {
            (maud::DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy"
                        content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (maud::PreEscaped(STYLE)) }
                }
                body {
                    h1 { (self.title) }
                    fieldset {
                        legend { "Show" }
                        label { input type="checkbox" id="log"; " loss on a logarithmic scale" }
                        label { input type="checkbox" id="prediction" checked; " prediction" }
                    }
                    p.hint { "Move the mouse over the plot, or focus it and press the arrow keys, Home or End." }
                    output id="readout" aria-live="polite" { }
                    div id="plot" { }
                    ul { @for note in &self.notes { li { (note) } } }
                    noscript { p { "This page needs JavaScript; the picture is beside it as SVG and PNG, the numbers as CSV and JSON." } }
                    script id="data" type="application/json" { (maud::PreEscaped(data)) }
                    script id="colours" type="application/json" { (maud::PreEscaped(colours)) }
                    script { (maud::PreEscaped(SCRIPT)) }
                }
            }
        };
        Ok(page.into_string())
    }

    /// Writes `NAME.svg`, `NAME.png`, `NAME.html`, and `table` and `document` as `NAME.csv` and `NAME.json` into a directory. Returns their paths.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be written; [`Error::Picture`] if the picture cannot be drawn.
    pub fn write(&self, dir: &Path, name: &str, table: &str, document: &str) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let svg = self.svg();
        let files = [
            ("csv", table.as_bytes().to_vec()),
            ("json", document.as_bytes().to_vec()),
            ("png", output::png(&svg)?),
            ("svg", svg.into_bytes()),
            ("html", self.html()?.into_bytes()),
        ];
        let mut paths = Vec::new();
        for (ending, content) in files {
            let path = dir.join(format!("{name}.{ending}"));
            write_file(&path, &content)?;
            paths.push(path);
        }
        Ok(paths)
    }
}
