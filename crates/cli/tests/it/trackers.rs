//! Trackers that are down, slow, broken or full: no run fails for one, and none waits for one. What TensorBoard and MLflow read
//! back is tested in `python/tests/test_trackers.py`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::program::{Ended, command, ended, run, text};

/// A run of three epochs that measures λ_max through training.
const TRAIN: [&str; 19] = [
    "train",
    "--arch",
    "mlp",
    "--dataset",
    "digits",
    "--hidden",
    "8",
    "--max-epochs",
    "3",
    "--target-accuracy",
    "1",
    "--examples",
    "50",
    "--rtol",
    "0.2",
    "--through-training",
    "0.2",
    "--threads",
    "1",
];
/// The points of a curve of [`TRAIN`]: after each epoch.
const EPOCHS: usize = 3;

/// A request: its path below `/api/2.0/mlflow/`, its credentials and its body.
struct Request {
    path: String,
    authorization: Option<String>,
    body: Value,
}

type Requests = Arc<Mutex<Vec<Request>>>;

/// A server that answers like an empty MLflow; it stops when it is dropped.
struct MlFlow {
    address: SocketAddr,
    requests: Requests,
    is_stopped: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl MlFlow {
    /// Answers once `ready` returns, with the status and the body that it gives, if it gives any.
    fn start(ready: impl Fn(&str) -> Option<(&'static str, String)> + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, is_stopped) = (Requests::default(), Arc::new(AtomicBool::new(false)));
        let (kept, stopped) = (Arc::clone(&requests), Arc::clone(&is_stopped));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else { continue };
                let (status, reply) =
                    ready(&request.path).unwrap_or_else(|| ("200 OK", answer(&request.path)));
                let length = reply.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                // The client may have given up.
                let _ = stream.write_all((head + &reply).as_bytes());
                kept.lock().unwrap().push(request);
            }
        });
        Self { address, requests, is_stopped, thread: Some(thread) }
    }

    fn target(&self) -> String {
        format!("mlflow=http://{}#tests", self.address)
    }

    /// The steps and values of a curve, in the order in which they came.
    fn curve(&self, key: &str) -> Vec<(u64, f64)> {
        let requests = self.requests.lock().unwrap();
        let metrics = requests.iter().filter_map(|request| request.body["metrics"].as_array()).flatten();
        let of_key = metrics.filter(|metric| metric["key"] == key);
        of_key.map(|metric| (metric["step"].as_u64().unwrap(), metric["value"].as_f64().unwrap())).collect()
    }
}

impl Drop for MlFlow {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || std::thread::panicking(), "the server thread panicked");
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length, mut authorization) = (String::new(), 0, None);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.to_ascii_lowercase().starts_with("authorization:") {
            authorization = line.split_once(':').map(|(_, value)| value.trim().to_owned());
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split(' ').nth(1)?.strip_prefix("/api/2.0/mlflow/")?.to_owned();
    Some(Request { path, authorization, body: serde_json::from_slice(&body).unwrap_or_default() })
}

fn answer(path: &str) -> String {
    let answer = match path.split('?').next() {
        Some("experiments/get-by-name") => json!({ "experiment": { "experiment_id": "1" } }),
        Some("runs/create") => json!({ "run": { "info": { "run_id": "abc" } } }),
        _ => json!({}),
    };
    answer.to_string()
}

/// [`TRAIN`] with further arguments.
fn train(further: &[&str]) -> Ended {
    run(&[&TRAIN[..], further, &["--json"]].concat())
}

/// What a run reports, without times.
fn results(ended: Ended) -> Value {
    let mut report = ended.json_with(4);
    report["training"]["seconds"].take();
    for varying in ["seconds", "costs", "memory"] {
        report["measurement"][varying].take();
    }
    report["peak_bytes"].take();
    report
}

#[test]
fn a_server_gets_each_point_once_and_the_end() {
    let server = MlFlow::start(|_| None);
    let ended = train(&["--track", &server.target()]);
    assert!(!ended.err.contains("mlflow"), "nothing went wrong: {}", ended.err);
    let report = results(ended);
    assert_eq!(report, results(train(&[])), "a tracker changes no result");
    let curve = server.curve("train/loss");
    assert_eq!(curve.len(), EPOCHS, "a point after each epoch: {curve:?}");
    assert_eq!(curve.last().map(|point| point.1), report["training"]["train_loss"].as_f64());
    let tracked = report["training"]["lambda_max"].as_array().unwrap();
    let expected: Vec<_> =
        tracked.iter().map(|at| (at["step"].as_u64().unwrap(), at["value"].as_f64().unwrap())).collect();
    assert_eq!(server.curve("sharpness/lambda_max"), expected, "λ_max through training, bit for bit");
    let edge = server.curve("sharpness/edge_of_stability");
    let learning_rate = report["config"]["training"]["learning_rate"].as_f64().unwrap();
    assert_eq!(edge.len(), expected.len(), "2/η beside each λ_max");
    assert!(edge.iter().all(|point| (point.1 - 2.0 / learning_rate).abs() < 1e-12), "{edge:?}");
    let last = server.curve("final/lambda_max");
    assert_eq!(Some(last[0].1), report["measurement"]["lambda_max"]["value"].as_f64());
    let requests = server.requests.lock().unwrap();
    let last = requests.last().unwrap();
    assert_eq!((last.path.as_str(), &last.body["status"]), ("runs/update", &json!("FINISHED")));
    assert!(requests.iter().all(|request| request.authorization.is_none()), "nobody gave credentials");
}

#[test]
fn credentials_are_those_of_mlflow_s_own_client() {
    let server = MlFlow::start(|_| None);
    let folder = tempdir().unwrap();
    let token = ("MLFLOW_TRACKING_TOKEN", "a-token");
    let [name, password] = [("MLFLOW_TRACKING_USERNAME", "me"), ("MLFLOW_TRACKING_PASSWORD", "secret")];
    for (given, expected) in
        [(&[token, name][..], "Bearer a-token"), (&[token, name, password], "Basic bWU6c2VjcmV0")]
    {
        let out = folder.path().join(given.len().to_string());
        let target = server.target();
        let mut program = command(&[&TRAIN[..], &["--out", text(&out), "--track", &target]].concat());
        program.envs(given.iter().copied());
        ended(program).out_with(4);
        let requests = std::mem::take(&mut *server.requests.lock().unwrap());
        assert!(
            requests.iter().all(|request| request.authorization.as_deref() == Some(expected)),
            "{expected}"
        );
        for file in ["config.toml", "provenance.json"] {
            let kept = fs::read_to_string(out.join(file)).unwrap();
            assert!(!kept.contains("secret") && !kept.contains("a-token"), "{file} keeps no credentials");
        }
    }
}

#[test]
fn a_run_does_not_wait_for_a_server_that_is_slow() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let result = out.join("result.json");
    // It answers only when the training is done, so a training that waited for it would not end.
    let server = MlFlow::start(move |_| {
        let begun = Instant::now();
        while !result.exists() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    });
    let ended = train(&["--track", &server.target(), "--out", text(&out)]);
    assert!(!ended.err.contains("mlflow"), "nothing went wrong: {}", ended.err);
    results(ended);
    assert_eq!(server.curve("test/accuracy").len(), EPOCHS, "and all points came later");
}

/// Asserts that a run with a tracker that fails ends as without it, and says once why, with the command that sends the rest.
#[track_caller]
fn survives(target: &str, reason: &str) {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let ended = train(&["--track", target, "--out", text(&out)]);
    let told = ended.err.matches(reason).count();
    assert_eq!(told, 1, "`{reason}` is said once:\n{}", ended.err);
    let again = format!("--out {} --resume --track", text(&out));
    assert!(ended.err.contains(&again), "how to send the rest:\n{}", ended.err);
    assert_eq!(results(ended), results(train(&[])), "the results are those without a tracker");
}

#[test]
fn a_server_that_is_down_fails_no_run() {
    // Nobody listens on a port that was just released.
    let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    survives(&format!("mlflow=http://{address}"), "does not answer");
}

#[test]
fn a_server_that_fails_or_refuses_fails_no_run() {
    let failing = MlFlow::start(|_| Some(("500 Internal Server Error", "<html>oops".to_owned())));
    survives(&failing.target(), "answers 500 Internal Server Error: <html>oops");
    let other = MlFlow::start(|_| Some(("200 OK", "<html>welcome".to_owned())));
    survives(&other.target(), "is this the address of a tracking server?");
    let refusal = json!({ "error_code": "PERMISSION_DENIED", "message": "not you" }).to_string();
    let refusing = MlFlow::start(move |_| Some(("403 Forbidden", refusal.clone())));
    survives(&refusing.target(), "403 Forbidden: not you");
}

#[test]
fn a_server_that_fails_for_a_moment_gets_everything() {
    let failures = Mutex::new(2);
    let server = MlFlow::start(move |path| {
        let mut left = failures.lock().unwrap();
        let fails = path == "runs/log-batch" && *left > 0;
        *left -= i32::from(fails);
        fails.then(|| ("503 Service Unavailable", String::new()))
    });
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let target = server.target();
    let first = [&TRAIN[..], &["--out", text(&out), "--track", &target]].concat();
    let ended = run(&first);
    assert!(ended.err.contains("503 Service Unavailable"), "{}", ended.err);
    // The last try of the first process was refused too; the finished run is sent by the command that it names.
    assert_eq!(server.curve("train/loss").len(), 0);
    let again = run(&[&first[..], &["--resume"]].concat());
    assert!(!again.err.contains("mlflow"), "{}", again.err);
    assert_eq!(server.curve("train/loss").len(), EPOCHS, "each point once");
    assert_eq!(server.curve("final/lambda_max").len(), 1);
}

#[test]
fn a_place_that_makes_no_sense_is_refused_before_the_run() {
    for (target, parts) in [
        ("wandb=x", &["tensorboard=DIR"][..]),
        ("tensorboard=", &["names no directory"]),
        ("mlflow=127.0.0.1:5000", &["http://"]),
        ("mlflow=http://me:secret@host", &["MLFLOW_TRACKING_USERNAME"]),
    ] {
        train(&["--track", target]).refuses(2, parts);
    }
}

/// The event files below a directory that are not empty.
fn event_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(event_files(&entry));
        } else if fs::metadata(&entry).unwrap().len() > 0 {
            files.push(entry);
        }
    }
    files
}

#[test]
fn a_run_that_is_tracked_again_has_its_points_in_one_file() {
    let folder = tempdir().unwrap();
    let target = format!("tensorboard={}", text(folder.path()));
    let mut sizes = Vec::new();
    for _ in 0..2 {
        results(train(&["--track", &target]));
        let files = event_files(folder.path());
        assert_eq!(files.len(), 1, "{files:?}");
        sizes.push(fs::metadata(&files[0]).unwrap().len());
    }
    assert_eq!(sizes[0], sizes[1], "the same points");
}

#[cfg(unix)]
#[test]
fn a_full_disk_of_event_files_fails_no_run() {
    let whole = results(train(&[]));
    let folder = tempdir().unwrap();
    // A limit on the size of files, in units of 512 or 1024 bytes, acts like a full disk: first on the start, then on the rest.
    for (name, blocks) in [("start", 0), ("rest", 2)] {
        let target = format!("tensorboard={}", text(&folder.path().join(name)));
        let program = command(&[&TRAIN[..], &["--json", "--track", &target]].concat());
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(program.get_program());
        limited.args(program.get_args()).stdout(std::process::Stdio::piped());
        let ended = ended(limited);
        let err = ended.err.clone();
        assert_eq!(err.matches("cannot write").count(), 1, "{name}: said once:\n{err}");
        assert!(err.contains("lacks numbers of 1 run"), "{name}: and at the end:\n{err}");
        assert_eq!(results(ended), whole, "{name}: the results are those without a tracker");
    }
    let files = event_files(folder.path());
    assert_eq!(files.len(), 1, "the start leaves no file: {files:?}");
    whole_records(&fs::read(&files[0]).unwrap());
}

/// Asserts that an event file ends with a whole record.
#[cfg(unix)]
#[track_caller]
fn whole_records(mut bytes: &[u8]) {
    let mut records = 0;
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        // Both checksums have four bytes.
        assert!(rest.len() >= length + 8, "record {records} is cut");
        (bytes, records) = (&rest[length + 8..], records + 1);
    }
    assert!(bytes.is_empty() && records >= 3, "{records} whole records");
}
