//! A page over a store of runs that a browser shows and that follows the store. It reads runs and never writes one.
//!
//! | file | subject |
//! | --- | --- |
//! | `guard.rs` | which requests are answered: host, origin, method, token |
//! | `watcher.rs` | the rows of the store, reread when their files change |
//! | `conclusions.rs` | figures and verdicts, redone when runs finish |
//! | `routes.rs`, `reply.rs` | the paths, and the headers of what they answer |
//!
//! | path | answer |
//! | --- | --- |
//! | `/`, `/assets/NAME` | the page, the same for every store: it needs no token |
//! | `/api/runs?since=VERSION` | the rows that changed since then, or all |
//! | `/api/curves?ids=ID,ID` | the curves of trainings |
//! | `/api/detail?id=ID` | the measurements of a training |
//! | `/api/conclusions` | figures and verdicts, as HTML |
//! | `/api/events` | server-sent events: versions of all this |

mod conclusions;
mod guard;
mod reply;
mod routes;
mod watcher;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sharpness_runs::RunStore;
use sharpness_study::page::Drawing;

use conclusions::Conclusions;
use guard::Guard;
use watcher::Watcher;

/// The shortest token that is accepted.
pub const SHORTEST_TOKEN: usize = 16;

/// How often a stop is looked for.
const STOP_PAUSE: Duration = Duration::from_millis(100);

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is in use, or not one of this machine's.
    #[error("cannot listen on {address}: {source}; --bind 127.0.0.1:0 takes any free port")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },

    /// Others could read the store.
    #[error(
        "{address} can be reached from other machines, so that a token is needed: set SHARPNESS_TOKEN or --token to at least {SHORTEST_TOKEN} characters"
    )]
    NoToken {
        /// The address.
        address: SocketAddr,
    },

    /// The token can be guessed or not be sent.
    #[error("the token must have at least {SHORTEST_TOKEN} characters, all of them visible ASCII")]
    WeakToken,

    /// The server stopped.
    #[error("the server stopped: {0}")]
    Stopped(io::Error),

    /// The store or a recipe cannot be read.
    #[error(transparent)]
    Study(#[from] sharpness_study::Error),
}

impl Error {
    /// Whether the request itself is invalid, so that it fails on any machine.
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::NoToken { .. } | Self::WeakToken => true,
            Self::Study(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// What to serve, and to whom.
pub struct Settings {
    /// The store.
    pub store: RunStore,
    /// Recipes whose runs and figures are shown.
    pub recipes: Vec<PathBuf>,
    /// The address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// What requests must know; needed if others reach the address.
    pub token: Option<String>,
    /// Further names under which browsers reach the server.
    pub hosts: Vec<String>,
    /// The commands that draw a figure again.
    pub commands: Arc<dyn Fn(&Drawing) -> String + Send + Sync>,
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

impl Server {
    /// Starts to listen.
    ///
    /// # Errors
    /// [`Error::NoToken`], [`Error::WeakToken`], [`Error::Bind`].
    pub fn bind(settings: Settings) -> Result<Self> {
        let address = settings.bind;
        match &settings.token {
            None if !address.ip().is_loopback() => return Err(Error::NoToken { address }),
            Some(token)
                if token.len() < SHORTEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                return Err(Error::WeakToken);
            }
            _ => {}
        }
        let failed = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, settings })
    }

    /// The address, with the port that was taken.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `is_stopped`.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the operating system takes the socket away; [`Error::Study`] if a recipe cannot be read.
    pub fn run(self, is_stopped: &dyn Fn() -> bool) -> Result<()> {
        let Self { listener, address, settings } = self;
        let Settings { store, recipes, token, hosts, commands, .. } = settings;
        let stop = Arc::new(AtomicBool::new(false));
        let plans = recipes.iter().map(|recipe| sharpness_runs::Plan::read(recipe));
        let plans =
            plans.collect::<sharpness_runs::Result<Vec<_>>>().map_err(sharpness_study::Error::from)?;
        let watcher = Arc::new(Watcher::new(store.clone(), plans));
        let conclusions = Arc::new(Conclusions::new(store, recipes, commands));
        let threads = [
            std::thread::spawn({
                let (watcher, stop) = (Arc::clone(&watcher), Arc::clone(&stop));
                move || watcher.follow(&stop)
            }),
            std::thread::spawn({
                let (watcher, conclusions, stop) =
                    (Arc::clone(&watcher), Arc::clone(&conclusions), Arc::clone(&stop));
                move || conclusions.follow(&watcher, &stop)
            }),
        ];
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Stopped)?;
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let routes = routes::routes(watcher, conclusions, Guard::new(address, token, hosts));
            let server = axum::serve(listener, routes).into_future();
            tokio::select! {
                served = server => served,
                () = stopped(is_stopped) => Ok(()),
            }
        });
        stop.store(true, Ordering::Relaxed);
        // Events have no end of their own, and a reader of a slow disk may take its time.
        runtime.shutdown_background();
        drop(threads);
        served.map_err(Error::Stopped)
    }
}

async fn stopped(is_stopped: &dyn Fn() -> bool) {
    while !is_stopped() {
        tokio::time::sleep(STOP_PAUSE).await;
    }
}
