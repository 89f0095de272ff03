//! Cursors: a place in an account's order of changes, in a form that clients keep and send back. It is
//! input like any other: what does not fit this account and store means "everything".

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::db::Start;
use crate::model::{AccountId, Modseq, StoreId};

/// {store id, epoch, account, number, since}.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) store: StoreId,
    pub(super) epoch: u64,
    pub(super) account: AccountId,
    pub(super) modseq: Modseq,
    /// Less than the number in the middle of catching up: what the reader knew when it began to.
    pub(super) since: Modseq,
}

impl Cursor {
    /// Accepts what `Display` made.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (store, rest) = bytes.split_first_chunk::<16>()?;
        let (numbers, rest) = rest.as_chunks::<8>();
        let [epoch, account, modseq, since] = *numbers else {
            return None;
        };
        rest.is_empty().then_some(Self {
            store: StoreId::from_bytes(*store),
            epoch: u64::from_le_bytes(epoch),
            account: AccountId(i64::from_le_bytes(account)),
            modseq: Modseq(i64::from_le_bytes(modseq)),
            since: Modseq(i64::from_le_bytes(since)),
        })
    }

    /// What was known and the number to go on from, if this account can go on from here.
    pub(super) fn judge(&self, account: AccountId, start: &Start) -> Option<(Modseq, Modseq)> {
        let here = self.store == start.store && self.epoch == start.epoch;
        let known = (start.horizon..=start.modseq).contains(&self.modseq);
        let sane = (Modseq(0)..=self.modseq).contains(&self.since);
        (here && self.account == account && known && sane).then_some((self.since, self.modseq))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(self.store.as_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.account.0.to_le_bytes());
        bytes.extend_from_slice(&self.modseq.0.to_le_bytes());
        bytes.extend_from_slice(&self.since.0.to_le_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Cursor;
    use crate::db::Start;
    use crate::model::{AccountId, Modseq, StoreId};

    #[test]
    fn only_a_cursor_of_here_and_now_is_gone_on_from() {
        let start =
            Start { store: StoreId::new(), epoch: 2, modseq: Modseq(9), horizon: Modseq(3) };
        let account = AccountId(5);
        let (modseq, since) = (Modseq(4), Modseq(2));
        let good = Cursor { store: start.store, epoch: 2, account, modseq, since };
        let parsed = Cursor::parse(&good.to_string()).unwrap();
        assert_eq!(parsed, good);
        assert_eq!(parsed.judge(account, &start), Some((since, modseq)));
        for bad in [
            Cursor { store: StoreId::new(), ..good },
            Cursor { epoch: 1, ..good },
            Cursor { account: AccountId(6), ..good },
            Cursor { modseq: Modseq(10), ..good },
            Cursor { modseq: Modseq(2), ..good },
            Cursor { since: Modseq(5), ..good },
            Cursor { since: Modseq(-1), ..good },
        ] {
            assert_eq!(bad.judge(account, &start), None, "{bad:?}");
        }
        assert_eq!(Cursor::parse("nonsense"), None);
    }
}
