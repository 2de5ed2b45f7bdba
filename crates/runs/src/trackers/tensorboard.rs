//! TensorBoard: an event file for each run, in a directory of its own.
//!
//! A run that starts or resumes writes a new file with all points so far, and then empties its older files. So the curves have each
//! point once, whatever an earlier process left, for readers too that ignore the start of a session. The empty files stay: a running
//! TensorBoard that finds its file deleted reads the run no more.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::event_file::{file_version, scalar, session_end_info, session_start, session_start_info};
use super::point::{Card, Point};
use super::tracker::{End, EndState, Failure, Open, Tracker};

/// The start of the name of an event file; TensorBoard reads files in the order of the time that follows.
const PREFIX: &str = "events.out.tfevents.";
/// The end of the name of our event files.
const SUFFIX: &str = ".sharpness";
/// Where the first content of a file is written; not the name of an event file.
const NEXT: &str = "next.partial";

/// Reads `DIR`.
pub(super) fn place(dir: &str) -> Result<(String, Arc<Open>), String> {
    if dir.is_empty() {
        let way_out = "give tensorboard=DIR, and later `tensorboard --logdir DIR`";
        return Err(format!("'tensorboard' names no directory; {way_out}"));
    }
    let path =
        std::path::absolute(dir).map_err(|error| format!("cannot find the directory '{dir}': {error}"))?;
    let text = path.to_string_lossy().into_owned();
    let open: Arc<Open> =
        Arc::new(move |card, points| Ok(Box::new(EventFile::create(&path.join(&card.title), card, points)?)));
    Ok((text, open))
}

/// The event file of a run.
struct EventFile {
    file: File,
    path: PathBuf,
    /// The length of its whole records.
    bytes: u64,
}

impl EventFile {
    fn create(dir: &Path, card: &Card, points: &[Point]) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(failure("create", dir))?;
        let older = event_files(dir).map_err(failure("read", dir))?;
        let path = dir.join(next_name(&older, card.started));
        let mut records = Vec::new();
        file_version(card.started).frame(&mut records);
        session_start(card.started).frame(&mut records);
        session_start_info(card.started, &card.id, card.compared.iter()).frame(&mut records);
        frame(points, &mut records);
        let next = dir.join(NEXT);
        let file = write_whole(&next, &records).map_err(failure("write", &next));
        let file = file.and_then(|file| {
            fs::rename(&next, &path).map_err(failure("create", &path))?;
            Ok(file)
        });
        if file.is_err() {
            // The original error is more informative than one of this clean-up.
            let _ = fs::remove_file(&next);
        }
        let file = file?;
        for name in older {
            // TensorBoard ignores what the start of a session makes void, so a file that stays full is no error.
            let _ = File::options().write(true).open(dir.join(name)).and_then(|file| file.set_len(0));
        }
        Ok(Self { file, path, bytes: records.len() as u64 })
    }

    /// Appends records, all or none.
    fn append(&mut self, records: &[u8]) -> Result<(), Failure> {
        if let Err(error) = self.file.write_all(records) {
            // Half a record would hide all that follow.
            let _ = self.file.set_len(self.bytes);
            return Err(failure("write", &self.path)(error));
        }
        self.bytes += records.len() as u64;
        Ok(())
    }
}

impl Tracker for EventFile {
    fn add(&mut self, points: &[Point]) -> Result<(), Failure> {
        let mut records = Vec::new();
        frame(points, &mut records);
        self.append(&records)
    }

    fn end(&mut self, end: &End) -> Result<(), Failure> {
        // `Status` of `api.proto`: unknown, success, failure.
        let status = match end.state {
            EndState::Stopped => 0,
            EndState::Finished => 1,
            EndState::Failed => 2,
        };
        let mut records = Vec::new();
        session_end_info(end.time, status).frame(&mut records);
        self.append(&records)
    }
}

fn frame(points: &[Point], records: &mut Vec<u8>) {
    points.iter().for_each(|point| scalar(point.time, point.step, &point.tag, point.value).frame(records));
}

/// Writes a file that is then appended to.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<File> {
    // Left by a killed process.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = File::options().create_new(true).append(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// The names of our event files in a directory.
fn event_files(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A name after all `older` ones: also where the clock of another machine was ahead.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time in seconds, not negative"
)]
fn next_name(older: &[String], now: f64) -> String {
    let time = |name: &String| name.strip_prefix(PREFIX)?.split('.').next()?.parse::<u64>().ok();
    let latest = older.iter().filter_map(time).max();
    let time = latest.map_or(0, |latest| latest.saturating_add(1)).max(now as u64);
    format!("{PREFIX}{time:010}.{}{SUFFIX}", std::process::id())
}

fn failure<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> Failure + use<'p> {
    move |error| Failure::Refused(crate::Error::io(action, path)(error).to_string())
}
