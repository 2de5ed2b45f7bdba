//! `sharpness serve`: a live page over a store.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_runs::RunStore;
use sharpness_serve::{Server, Settings};

use super::report::drawing_commands;
use crate::args::start_threads;
use crate::exit::{EXIT_CODES, Exit};
use crate::interrupt::Interrupt;
use crate::output::{line, print, print_json};

/// The variable with the token, which other users of the machine cannot see, unlike a flag.
const TOKEN_VARIABLE: &str = "SHARPNESS_TOKEN";

const HELP: &str = "\
The page follows the store: runs with their state, progress and time left, curves, figures and verdicts as they fill. Filters, order, selection and
scales are in its address, so that a link shows the same view. Nothing is written, and nothing is loaded from elsewhere. Ctrl-C ends it.

To watch a machine that you reach by ssh, serve there on the default address, and tunnel: ssh -L 6420:localhost:6420 MACHINE

Security:
  Requests must name localhost, the address that is served, or a --host, and come from the page itself. With a token, data are only sent to requests
  with `Authorization: Bearer TOKEN`; the page asks for it, or takes it from http://…/#token=TOKEN. The connection is not encrypted: beyond a network
  that you trust, use a tunnel.";

/// What to serve, and to whom.
#[derive(Args, Debug)]
#[command(after_long_help = format!("{HELP}\n\n{EXIT_CODES}"), after_help = EXIT_CODES)]
pub(super) struct ServeCommand {
    /// Recipes whose runs and figures are also shown, including runs that have not started; the paper's figures always are if the store has runs of theirs
    recipes: Vec<PathBuf>,

    /// The store
    #[arg(long, value_name = "DIR", default_value = "runs")]
    store: PathBuf,

    /// Listen on this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6420", value_parser = address)]
    bind: SocketAddr,

    /// Send data only to those who know this; needed beyond 127.0.0.1. The variable SHARPNESS_TOKEN hides it from other users
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,

    /// Also answer under this name of the machine; repeatable
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Print the address as one JSON document
    #[arg(long)]
    json: bool,
}

/// The JSON document.
#[derive(Serialize)]
struct Serving {
    url: String,
    store: String,
    needs_token: bool,
}

/// `127.0.0.1:80`, `localhost:80`, `80`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok(SocketAddr::new(local, port));
    }
    text.parse().map_err(|_| "must be an address and a port, such as 127.0.0.1:6420 or [::1]:6420".to_owned())
}

/// Serves until Ctrl-C.
pub(super) fn run(command: &ServeCommand) -> Result<Exit> {
    let interrupt = Interrupt::listen()?;
    start_threads(None)?;
    let store = RunStore::existing(&command.store)?;
    let dir = store.dir().to_owned();
    let variable = || std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
    let settings = Settings {
        store,
        recipes: command.recipes.clone(),
        bind: command.bind,
        token: command.token.clone().or_else(variable),
        hosts: command.hosts.clone(),
        commands: Arc::new(move |drawing| drawing_commands(drawing, &dir)),
    };
    let needs_token = settings.token.is_some();
    let server = Server::bind(settings)?;
    let (url, store) = (format!("http://{}/", server.address()), command.store.display().to_string());
    if command.json {
        print_json(&Serving { url, store, needs_token })?;
    } else {
        let mut text = String::new();
        line(&mut text, "serving", &store);
        line(&mut text, "open", &url);
        if needs_token {
            line(&mut text, "", "the page asks for the token");
        }
        print(&text)?;
    }
    server.run(&|| interrupt.is_raised())?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_port_alone_is_on_this_machine() {
        for (text, full) in [
            ("80", "127.0.0.1:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), Ok(full), "{text}");
        }
        for text in ["", "host:80", "127.0.0.1", "1:2:3", "99999"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
