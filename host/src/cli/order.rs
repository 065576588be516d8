//! Has an order carried out: by the service that runs, else by this very command.

use std::io::Read;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::ground::{self, Ground};
use super::{Exit, Failure, Global};
use crate::orders::{Desk, Order, Refused, door};
use crate::publish::Selector;

/// Bytes of selectors on stdin.
const LONGEST: u64 = 128 << 20;

/// Has an order carried out, and returns the answer.
pub(super) fn give(global: &Global, order: &Order) -> Result<Value, Failure> {
    let state = ground::state_path(global)?;
    let asked = door::ask(&state, order, |_| {}).map_err(|error| {
        Failure::new(Exit::Blocked, format_args!("the service does not answer: {error}"))
            .hint("`sitesync doctor` says how it fares")
    })?;
    if let Some(answer) = asked {
        return answer.map_err(refused);
    }
    let (stop, stopped) = watch::channel(false);
    let ground = Ground::open(global, stopped)?;
    let runtime = ground::runtime()?;
    let (_settings, settings) = watch::channel(Arc::new(ground.settings.clone()));
    let desk = Desk { engine: ground.engine.clone(), settings };
    let order = order.clone();
    let answer = runtime.block_on(async move {
        super::serve::stop_on_signals(stop, "what is under way is finished");
        let (report, _reports) = mpsc::channel(16);
        desk.carry_out(order, report).await
    });
    runtime.shutdown_background();
    answer.map_err(refused)
}

/// The selectors of a command; `-` stands for those on stdin, one a line.
pub(super) fn selectors(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut selectors = Vec::new();
    for one in given {
        if one != "-" {
            selectors.push(one.clone());
            continue;
        }
        let mut text = String::new();
        let read = std::io::stdin().lock().take(LONGEST).read_to_string(&mut text);
        read.map_err(|error| Failure::new(Exit::Usage, format_args!("stdin: {error}")))?;
        let lines = Selector::lines(&text).map_err(|error| Failure::new(Exit::Usage, error))?;
        selectors.extend(lines.iter().map(ToString::to_string));
    }
    Ok(selectors)
}

fn refused(refused: Refused) -> Failure {
    let exit = match refused.exit {
        1 => Exit::Trouble,
        2 => Exit::Usage,
        _ => Exit::Blocked,
    };
    let failure = Failure::new(exit, &refused.message);
    match &refused.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
