//! Which message is meant: a delivery's number, a message's id, or `last`.

use depot_proto::mail::read_message_request::Which;
use depot_proto::mail::{Message, ReadMessageRequest};
use uuid::Uuid;

use crate::connect::{Repeat, Session};
use crate::error::{Error, Result};

/// What a person typed for a message.
pub(crate) fn parse(typed: &str) -> Result<Which> {
    if typed == "last" {
        return Ok(Which::Last(true));
    }
    if let Ok(number @ 1..) = typed.parse::<u64>() {
        return Ok(Which::Number(number));
    }
    match Uuid::try_parse(typed) {
        Ok(id) => Ok(Which::Id(id.to_string())),
        Err(_) => Err(Error::usage(format!(
            "`{typed}` is no message: write its number, its id, or `last`"
        ))),
    }
}

/// The message; this changes nothing.
pub(crate) async fn find(session: &Session, which: &Which) -> Result<Message> {
    let answer = session.call(Repeat::Always, || async {
        let request = ReadMessageRequest { which: Some(which.clone()) };
        session.mail().read_message(request).await
    });
    answer.await?.message.ok_or_else(|| Error::bad_answer("the server sent no message"))
}

#[cfg(test)]
mod tests {
    use depot_proto::mail::read_message_request::Which;

    use super::parse;

    #[test]
    fn a_message_is_named_in_three_ways() {
        assert_eq!(parse("7").unwrap(), Which::Number(7));
        assert_eq!(parse("last").unwrap(), Which::Last(true));
        let id = "0190aaaa-0000-7000-8000-000000000001";
        assert_eq!(parse(id).unwrap(), Which::Id(id.into()));
        for wrong in ["", "0", "-1", "LAST", "0190aaaa", "x"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
