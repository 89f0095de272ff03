//! `depot ack`: marks messages as no longer unread. All of them, or none where one is not there.

use std::collections::{HashMap, HashSet};

use clap::Args;
use depot_proto::mail::read_message_request::Which;
use serde::Serialize;

use crate::app::App;
use crate::connect::Session;
use crate::error::Result;
use crate::mail::{ack, find, list, parse};

/// So many numbers are found sooner one by one than in the list.
const FOUND_ONE_BY_ONE: usize = 3;

/// Messages in one page of the list.
const PAGE_SIZE: u32 = 1000;

/// What `depot ack` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot ack 1 2 3")]
pub(crate) struct Arguments {
    /// The messages: their numbers, their ids, or last
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Acked {
    acked: u32,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let which: Vec<Which> = arguments.ids.iter().map(|id| parse(id)).collect::<Result<_>>()?;
    let session = app.session().await?;
    let listed = match which.iter().filter(|which| matches!(which, Which::Number(_))).count() {
        0..=FOUND_ONE_BY_ONE => HashMap::new(),
        _ => listed(&session, &which).await?,
    };
    let mut ids = Vec::with_capacity(which.len());
    for which in &which {
        ids.push(match which {
            Which::Id(id) => id.clone(),
            Which::Number(number) if listed.contains_key(number) => listed[number].clone(),
            // The server says best what is wrong with what is not there.
            _ => find(&session, which).await?.id,
        });
    }
    let acked = ack(&session, &ids, false).await?;
    if app.output.is_json() {
        return app.output.object(&Acked { acked });
    }
    app.output.note(&format!("{acked} of {} were unread until now", ids.len()));
    Ok(())
}

/// The ids of many numbers, from the list of messages: reading each would bring its body along.
async fn listed(session: &Session, which: &[Which]) -> Result<HashMap<u64, String>> {
    let numbers = which.iter().filter_map(|which| match which {
        Which::Number(number) => Some(*number),
        Which::Id(_) | Which::Last(_) => None,
    });
    let mut missing: HashSet<u64> = numbers.collect();
    let first = missing.iter().min().copied().unwrap_or_default();
    let mut found = HashMap::with_capacity(missing.len());
    list(session, PAGE_SIZE, false, |page| {
        for message in page {
            if missing.remove(&message.number) {
                found.insert(message.number, message.id);
            } else if message.number < first {
                return Ok(false);
            }
        }
        Ok(!missing.is_empty())
    })
    .await?;
    Ok(found)
}
