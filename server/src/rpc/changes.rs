//! ChangesService: the words of what is new.

use std::pin::Pin;
use std::time::Duration;

use depot_proto::changes::changes_service_server::ChangesService;
use depot_proto::changes::{
    Change as ProtoChange, ChangeKind, ChangeOp, ChangesRequest, ChangesResponse, WatchRequest,
    WatchResponse,
};
use futures_util::stream;
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

use crate::changes::{Change, ChangeItem, EntryKind, EntryOp, Follow};
use crate::error::{Error, Kind, Result};
use crate::model::Caller;
use crate::rpc::Rooms;
use crate::rpc::auth_layer::caller;
use crate::rpc::convert::time;
use crate::rpc::status::status;

/// Answers ChangesService.
pub(super) struct ChangesRpc(Rooms);

impl ChangesRpc {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }

    fn watching(&self, follow: Follow) -> Watching {
        Watching {
            rooms: self.0.clone(),
            follow,
            heartbeat: Duration::from_secs(self.0.limits.heartbeat_seconds.clamp(1, 30)),
            first: true,
        }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl ChangesService for ChangesRpc {
    type ChangesStream = Answers<ChangesResponse>;
    type WatchStream = Answers<WatchResponse>;

    async fn changes(
        &self,
        request: Request<ChangesRequest>,
    ) -> Result<Response<Self::ChangesStream>, Status> {
        let caller = caller(&request)?;
        let cursor = request.into_inner().cursor;
        let follow = self.0.changes.since(&caller, Some(&cursor)).await.map_err(status)?;
        let answers = stream::try_unfold((follow, false), |(mut follow, given)| async move {
            let full = follow.is_full() && !given;
            match follow.next().await.map_err(status)? {
                Some(changes) => {
                    let changes = changes.into_iter().map(|c| change(&follow, c)).collect();
                    let cursor = follow.cursor().to_string();
                    Ok(Some((ChangesResponse { changes, cursor, full }, (follow, true))))
                }
                // Nothing is new: say where that is.
                None if !given => {
                    let cursor = follow.cursor().to_string();
                    let answer = ChangesResponse { changes: Vec::new(), cursor, full };
                    Ok::<_, Status>(Some((answer, (follow, true))))
                }
                None => Ok(None),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = caller(&request)?;
        let max = self.0.limits.watches_max as usize;
        if self.0.watchers.waiting(caller.account) >= max {
            let message = format!("this account has {max} watches; end one of them first");
            return Err(status(Error::new(Kind::LimitExceeded, message)));
        }
        let cursor = request.into_inner().cursor;
        let follow = match cursor.as_str() {
            "" => self.0.changes.from_now(&caller).await,
            cursor => self.0.changes.since(&caller, Some(cursor)).await,
        };
        let watching = self.watching(follow.map_err(status)?);
        let answers = stream::try_unfold((watching, caller), |(mut watching, caller)| async move {
            let answer = watching.next(&caller).await.map_err(status)?;
            Ok(answer.map(|answer| (answer, (watching, caller))))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

struct Watching {
    rooms: Rooms,
    follow: Follow,
    heartbeat: Duration,
    first: bool,
}

impl Watching {
    async fn next(&mut self, caller: &Caller) -> Result<Option<WatchResponse>> {
        let beat = Instant::now() + self.heartbeat;
        loop {
            if self.rooms.accounts.has_expired(caller) {
                let message = "the token has run out; renew it, then go on from the last cursor";
                return Err(Error::new(Kind::Unauthenticated, message));
            }
            let full = self.follow.is_full() && self.first;
            let changes = self.follow.next().await?;
            // The first answer says at once from where it goes on.
            if changes.is_some() || self.first || Instant::now() >= beat {
                self.first = false;
                let changes = changes.unwrap_or_default();
                let changes = changes.into_iter().map(|c| change(&self.follow, c)).collect();
                let cursor = self.follow.cursor().to_string();
                return Ok(Some(WatchResponse { changes, cursor, full }));
            }
            let stopping: CancellationToken = self.rooms.stopping.clone();
            tokio::select! {
                () = self.follow.woken() => {}
                () = sleep_until(beat) => {}
                () = stopping.cancelled() => {
                    let wait = Duration::from_secs(1);
                    return Err(Error::unavailable("the server is stopping", wait));
                }
            }
        }
    }
}

fn change(follow: &Follow, change: Change) -> ProtoChange {
    let mut proto = ProtoChange {
        at: Some(time(change.at)),
        cursor: follow.cursor_at(change.modseq).to_string(),
        ..ProtoChange::default()
    };
    match change.item {
        ChangeItem::Entry { id, kind, path, op, subtree } => {
            proto.set_kind(match kind {
                EntryKind::File => ChangeKind::File,
                EntryKind::Folder => ChangeKind::Folder,
                EntryKind::Symlink => ChangeKind::Symlink,
            });
            proto.set_op(match op {
                EntryOp::Put => ChangeOp::Put,
                EntryOp::Move => ChangeOp::Move,
                EntryOp::Remove => ChangeOp::Remove,
            });
            (proto.id, proto.path, proto.subtree) = (id.to_string(), path, subtree);
        }
        ChangeItem::Delivery { message, acked } => {
            proto.set_kind(ChangeKind::Message);
            proto.set_op(if acked { ChangeOp::Ack } else { ChangeOp::Deliver });
            proto.id = message.to_string();
        }
    }
    proto
}
