//! One effect for a request however often it is made: answers are kept and given again. Errors are not
//! recorded, since nothing was done.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::db::Request;
use crate::db::sqlite::rows::one;
use crate::db::sqlite::writer::Tx;
use crate::error::{Error, Kind, Result};
use crate::model::AccountId;

/// Does `work` unless this request was answered before; then that answer is given again.
pub(super) fn once<T: Serialize + DeserializeOwned>(
    tx: &mut Tx<'_>,
    account: AccountId,
    request: Option<&Request>,
    now: i64,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<T> {
    let Some(request) = request else {
        return work(tx);
    };
    if let Some(answer) = answered(tx, account, request)? {
        return Ok(answer);
    }
    let answer = work(tx)?;
    let encoded = encode(&answer)?;
    tx.execute(
        "INSERT INTO request (account, id, digest, answer, made_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (account, request.id, request.digest, encoded, now),
    )?;
    Ok(answer)
}

fn answered<T: DeserializeOwned>(
    tx: &Tx<'_>,
    account: AccountId,
    request: &Request,
) -> Result<Option<T>> {
    let sql = "SELECT digest, answer FROM request WHERE account = ?1 AND id = ?2";
    let kept = one(tx.conn(), sql, (account, request.id), |row| {
        Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let Some((digest, answer)) = kept else {
        return Ok(None);
    };
    if digest != request.digest {
        return Err(Error::new(
            Kind::RequestIdReused,
            "this request_id was used for something else; choose a new one",
        ));
    }
    decode(&answer).map(Some)
}

/// A fifth of what it would be as JSON: it is kept for seven days.
fn encode<T: Serialize>(answer: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(answer).map_err(|error| Error::internal("requests.encode", error))
}

fn decode<T: DeserializeOwned>(answer: &[u8]) -> Result<T> {
    postcard::from_bytes(answer).map_err(|error| Error::internal("requests.decode", error))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use crate::db::{CommitOutcome, Listed, Usage};
    use crate::model::{
        AccountId, Content, Digest, Entry, EntryId, FileName, ManifestKey, Mode, Modseq, Node,
        TreePath, VersionId, Xattrs,
    };

    fn listed(number: u8) -> Listed {
        let name = FileName::parse(&format!("file {number}")).unwrap();
        let node = match number {
            0 => Node::Folder,
            1 => Node::Symlink { target: "there".to_owned() },
            _ => {
                let manifest = (number > 2).then_some(ManifestKey(number.into()));
                let content = Content { size: 1 << 30, digest: Digest([number; 32]), manifest };
                Node::File { content, version: VersionId::new() }
            }
        };
        let entry = Entry {
            id: EntryId::new(),
            account: AccountId(7),
            parent: (number > 0).then(EntryId::new),
            name: Some(name.clone()),
            node,
            mode: Mode::FILE,
            modified_ns: -1_700_000_000_123_456_789,
            xattrs: Xattrs::default(),
            generation: Modseq(12_345),
            placed: Modseq(12_345),
            modseq: Modseq(12_346),
            changed_at: 1_700_000_000_123,
        };
        Listed { path: TreePath::from(vec![name]), entry }
    }

    #[test]
    fn answers_are_kept_small_and_come_back_as_they_were() {
        let outcome = CommitOutcome {
            changed: 200,
            unchanged: 0,
            entries: (0..200).map(listed).collect(),
            modseq: Modseq(12_346),
            usage: Some(Usage { used: 7, staged: 0, quota: Some(9) }),
        };
        let encoded = encode(&outcome).unwrap();
        assert!(encoded.len() < 200 * 200, "{} bytes for 200 entries", encoded.len());
        let decoded: CommitOutcome = decode(&encoded).unwrap();
        assert_eq!((decoded.changed, decoded.modseq), (outcome.changed, outcome.modseq));
        assert!(decoded.entries == outcome.entries && decoded.usage == outcome.usage);
        assert!(decode::<CommitOutcome>(&encoded[..100]).is_err());
    }
}
