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
    let text =
        serde_json::to_string(&answer).map_err(|error| Error::internal("requests", error))?;
    tx.execute(
        "INSERT INTO request (account, id, digest, answer, made_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (account, request.id, request.digest, text, now),
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
        Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, String>(1)?))
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
    serde_json::from_str(&answer).map(Some).map_err(|error| Error::internal("requests", error))
}
