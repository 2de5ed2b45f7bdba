//! MLflow: a run of an experiment on a tracking server, over its REST interface.
//!
//! A run is found again by a tag with its name. What the server already has of a curve is not sent again, so a run that resumes
//! continues its curves; results do not depend on interruptions, so the points are the same.

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body, RequestBuilder};

use super::point::{Card, Point};
use super::tracker::{End, EndState, Failure, Open, Tracker};

/// The experiment, unless the place or the environment names one.
const EXPERIMENT: &str = "sharpness";
/// The tag that holds the name of a run.
const RUN_TAG: &str = "sharpness.run";
/// The most metrics and the most parameters of a request.
const MOST_METRICS: usize = 1000;
const MOST_PARAMS: usize = 100;
/// The longest value of a parameter, in characters.
const PARAM_CHARS: usize = 6000;
/// The most characters of a message of the server that are repeated.
const MESSAGE_CHARS: usize = 300;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, Failure>;

/// Reads `URL#EXPERIMENT`; an empty place is that of `MLFLOW_TRACKING_URI`. Credentials are those of MLflow's own client:
/// `MLFLOW_TRACKING_USERNAME` with `MLFLOW_TRACKING_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`.
pub(super) fn place(text: &str) -> std::result::Result<(String, Arc<Open>), String> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let text =
        if text.is_empty() { variable("MLFLOW_TRACKING_URI").unwrap_or_default() } else { text.to_owned() };
    let (url, experiment) = text.split_once('#').unwrap_or((&text, ""));
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    // What is wrong may be a password, so the place is not repeated.
    let Some(rest) = rest else {
        return Err("MLflow needs the address of a server, with http:// or https://, as in mlflow=http://127.0.0.1:5000".to_owned());
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if host.is_empty() {
        return Err(
            "the address of MLflow names no host; an example is mlflow=http://127.0.0.1:5000".to_owned()
        );
    }
    if host.contains('@') {
        return Err(
            "give the credentials of MLflow in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or in \
                    MLFLOW_TRACKING_TOKEN, and not in the address, which is kept with every run"
                .to_owned(),
        );
    }
    let url = url.trim_end_matches('/');
    let named = Some(experiment.to_owned()).filter(|name| !name.is_empty());
    let experiment =
        named.or_else(|| variable("MLFLOW_EXPERIMENT_NAME")).unwrap_or_else(|| EXPERIMENT.to_owned());
    let password = || variable("MLFLOW_TRACKING_PASSWORD");
    let basic = variable("MLFLOW_TRACKING_USERNAME").zip(password());
    let basic = basic
        .map(|(name, password)| format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}"))));
    let authorization =
        basic.or_else(|| variable("MLFLOW_TRACKING_TOKEN").map(|token| format!("Bearer {token}")));
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(TIMEOUT))
        .build();
    let server = Arc::new(Server { agent: config.into(), url: url.to_owned(), authorization, experiment });
    let text = format!("{url}#{}", server.experiment);
    let open: Arc<Open> =
        Arc::new(move |card, points| Ok(Box::new(Run::open(Arc::clone(&server), card, points)?)));
    Ok((text, open))
}

/// A tracking server.
struct Server {
    agent: Agent,
    url: String,
    authorization: Option<String>,
    experiment: String,
}

impl Server {
    /// The answer to a request that the server is not expected to refuse.
    fn call(&self, path: &str, body: &Value) -> Result<Value> {
        self.post(path, body)?.map_err(|refusal| self.refused(path, &refusal.message))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = self.agent.post(self.address(path)).header(header::CONTENT_TYPE, "application/json");
        self.read(path, self.authorized(request).send(body.to_string()))
    }

    fn get(&self, path: &str, (key, value): (&str, &str)) -> Result<Answer> {
        let request = self.agent.get(self.address(path)).query(key, value);
        self.read(path, self.authorized(request).call())
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/2.0/mlflow/{path}", self.url)
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header(header::AUTHORIZATION, authorization),
            None => request,
        }
    }

    fn read(&self, path: &str, response: std::result::Result<Response<Body>, ureq::Error>) -> Result<Answer> {
        let unreachable =
            |error: ureq::Error| Failure::Unreachable(format!("{} does not answer: {error}", self.url));
        let mut response = response.map_err(unreachable)?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        if status.is_success() {
            let other = || {
                self.refused(path, "the answer is not MLflow's: is this the address of a tracking server?")
            };
            return answer.map(Ok).ok_or_else(other);
        }
        let of_answer =
            |key: &str| answer.as_ref().and_then(|answer| answer[key].as_str()).map(str::to_owned);
        let message = of_answer("message").unwrap_or(text);
        let message: String =
            message.lines().next().unwrap_or_default().chars().take(MESSAGE_CHARS).collect();
        let message = format!("{status}: {message}");
        // A server or a proxy that is overloaded or restarts refuses everything for now.
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failure::Unreachable(format!("{} answers {message}", self.url)));
        }
        Ok(Err(Refusal { code: of_answer("error_code").unwrap_or_default(), message }))
    }

    fn refused(&self, path: &str, message: &str) -> Failure {
        Failure::Refused(format!("{} refuses {path}: {message}", self.url))
    }

    /// The number of the experiment, which is created if necessary.
    fn experiment(&self) -> Result<String> {
        // Another process may create it between both.
        for _ in 0..2 {
            match self.get("experiments/get-by-name", ("experiment_name", &self.experiment))? {
                Ok(found) if found["experiment"]["lifecycle_stage"] == "deleted" => {
                    let message =
                        format!("the experiment '{}' was deleted there; name another one", self.experiment);
                    return Err(Failure::Refused(format!("{}: {message}", self.url)));
                }
                Ok(found) => return self.text(&found["experiment"]["experiment_id"]),
                Err(refusal) if refusal.code != "RESOURCE_DOES_NOT_EXIST" => {
                    return Err(self.refused("the experiment", &refusal.message));
                }
                Err(_) => {}
            }
            match self.post("experiments/create", &json!({ "name": self.experiment }))? {
                Ok(created) => return self.text(&created["experiment_id"]),
                Err(refusal) if refusal.code != "RESOURCE_ALREADY_EXISTS" => {
                    return Err(self.refused("the experiment", &refusal.message));
                }
                Err(_) => {}
            }
        }
        Err(Failure::Refused(format!("{}: the experiment '{}' cannot be created", self.url, self.experiment)))
    }

    fn text(&self, value: &Value) -> Result<String> {
        value.as_str().map(str::to_owned).ok_or_else(|| self.refused("", "the answer lacks a name"))
    }
}

/// What the server answers to a request that it understood.
type Answer = std::result::Result<Value, Refusal>;

/// Why the server refuses a request.
struct Refusal {
    code: String,
    message: String,
}

/// A run of a server.
struct Run {
    server: Arc<Server>,
    id: String,
    /// The last step of each curve that the server has.
    known: BTreeMap<String, u32>,
    /// Whether it may have more, since it got metrics but did not answer.
    is_unsure: bool,
}

impl Run {
    fn open(server: Arc<Server>, card: &Card, points: &[Point]) -> Result<Self> {
        let experiment = server.experiment()?;
        let filter = format!("tags.`{RUN_TAG}` = '{}'", card.id);
        let found = server.call(
            "runs/search",
            &json!({ "experiment_ids": [experiment], "filter": filter, "max_results": 1 }),
        )?;
        let found = &found["runs"][0];
        let mut run = if found.is_object() {
            let run = Self {
                id: server.text(&found["info"]["run_id"])?,
                known: known(&found["data"]["metrics"]),
                is_unsure: false,
                server,
            };
            run.server.call("runs/update", &json!({ "run_id": run.id, "status": "RUNNING" }))?;
            run
        } else {
            let id = create(&server, &experiment, card)?;
            Self { server, id, known: BTreeMap::new(), is_unsure: false }
        };
        let params: Vec<Value> = card.settings.iter().map(|(key, value)| param(key, value)).collect();
        for params in params.chunks(MOST_PARAMS) {
            run.server.call("runs/log-batch", &json!({ "run_id": run.id, "params": params }))?;
        }
        run.add(points)?;
        Ok(run)
    }
}

/// Creates a run and returns its name there.
fn create(server: &Server, experiment: &str, card: &Card) -> Result<String> {
    let tags = [
        (RUN_TAG, card.id.as_str()),
        ("sharpness.training", &card.training),
        ("sharpness.version", env!("CARGO_PKG_VERSION")),
        ("mlflow.source.name", "sharpness"),
    ];
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let created = server.call(
        "runs/create",
        &json!({
            "experiment_id": experiment,
            "run_name": card.title,
            "start_time": millis(card.started),
            "tags": tags,
        }),
    )?;
    server.text(&created["run"]["info"]["run_id"])
}

impl Tracker for Run {
    fn add(&mut self, points: &[Point]) -> Result<()> {
        if self.is_unsure {
            let path = "runs/get";
            let found = self.server.get(path, ("run_id", &self.id))?;
            let found = found.map_err(|refusal| self.server.refused(path, &refusal.message))?;
            (self.known, self.is_unsure) = (known(&found["run"]["data"]["metrics"]), false);
        }
        let is_new = |point: &&Point| self.known.get(&point.tag).is_none_or(|known| *known < point.step);
        let new: Vec<&Point> = points.iter().filter(is_new).collect();
        for points in new.chunks(MOST_METRICS) {
            let metric = |point: &&Point| {
                let Point { tag, step, value, time } = point;
                json!({ "key": tag, "value": value, "timestamp": millis(*time), "step": step })
            };
            let metrics: Vec<Value> = points.iter().map(metric).collect();
            self.is_unsure = true;
            self.server.call("runs/log-batch", &json!({ "run_id": self.id, "metrics": metrics }))?;
            self.is_unsure = false;
            self.known.extend(points.iter().map(|point| (point.tag.clone(), point.step)));
        }
        Ok(())
    }

    fn end(&mut self, end: &End) -> Result<()> {
        if let Some(outcome) = &end.outcome {
            let tags = [json!({ "key": "sharpness.outcome", "value": outcome })];
            self.server.call("runs/log-batch", &json!({ "run_id": self.id, "tags": tags }))?;
        }
        let status = match end.state {
            EndState::Finished => "FINISHED",
            EndState::Stopped => "KILLED",
            EndState::Failed => "FAILED",
        };
        let ended = json!({ "run_id": self.id, "status": status, "end_time": millis(end.time) });
        self.server.call("runs/update", &ended).map(drop)
    }
}

/// The last step of each curve: of the latest metrics that the server names.
fn known(metrics: &Value) -> BTreeMap<String, u32> {
    // A 64-bit number of JSON may be a text.
    let step = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let known = |metric: &Value| {
        let step = step(&metric["step"]).unwrap_or_default();
        Some((metric["key"].as_str()?.to_owned(), u32::try_from(step).ok()?))
    };
    metrics.as_array().into_iter().flatten().filter_map(known).collect()
}

fn param(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": value.chars().take(PARAM_CHARS).collect::<String>() })
}

#[expect(clippy::cast_possible_truncation, reason = "a time in milliseconds")]
fn millis(seconds: f64) -> i64 {
    (seconds * 1e3) as i64
}
