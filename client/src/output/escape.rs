//! Makes text from elsewhere safe to show: nothing in it can move the cursor, change the direction of
//! what follows, or hide. All that `output` prints goes through here.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line: line breaks and tabs are shown as `\n` and `\t`.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// Text of several lines: line breaks and tabs stay.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        return Cow::Owned(escape(&text.replace("\r\n", "\n"), is_layout).into_owned());
    }
    escape(text, is_layout)
}

/// Bytes that may be no text at all: what is not UTF-8 is shown as `\xNN`.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        shown.push_str(&text(part.valid()));
        for byte in part.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// How many of the last bytes are the beginning of something that may go on in the next ones: of a
/// character, or of a line end of two.
pub(crate) fn begun(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    match bytes.utf8_chunks().last() {
        // What is wrong already does not get right by what follows.
        Some(last)
            if std::str::from_utf8(last.invalid()).is_err_and(|e| e.error_len().is_none()) =>
        {
            last.invalid().len()
        }
        _ => 0,
    }
}

/// JSON that is already serialized: what a terminal would obey becomes `\uNNNN`, which says the same.
pub(crate) fn json(serialized: String) -> String {
    if !serialized.chars().any(is_unsafe) {
        return serialized;
    }
    let mut shown = String::with_capacity(serialized.len() + 16);
    for character in serialized.chars() {
        if is_unsafe(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

fn escape(text: &str, keep: fn(char) -> bool) -> Cow<'_, str> {
    let unsafe_here = |character: char| is_unsafe(character) && !keep(character);
    let Some(first) = text.find(unsafe_here) else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(&text[..first]);
    for character in text[first..].chars() {
        match character {
            _ if !unsafe_here(character) => shown.push(character),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
    Cow::Owned(shown)
}

fn is_layout(character: char) -> bool {
    matches!(character, '\n' | '\t')
}

/// What a terminal obeys or a reader cannot see.
fn is_unsafe(character: char) -> bool {
    match character {
        ' '..='~' => false,
        // Controls: C0, DEL and C1, whose U+009B is a terminal's CSI too.
        _ if character.is_control() => true,
        // The bidirectional controls of UAX #9 (CVE-2021-42574).
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => true,
        // What takes no room: zero-width spaces and joiners, fillers, separators, the byte order mark,
        // interlinear marks and tags.
        '\u{00ad}'
        | '\u{034f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' => true,
        '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' => true,
        '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' => true,
        '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{begun, bytes, is_unsafe, json, line, text};

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(line("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(line("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
        assert_eq!(line("a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(line("zero\u{200b}width"), "zero\\u{200b}width");
        assert_eq!(line("\u{9b}31m"), "\\u{9b}31m");
    }

    #[test]
    fn honest_text_is_left_alone() {
        for honest in ["report.pdf", "Übergröße", "日本語", "naïve – “quoted”", "🙂"]
        {
            assert_eq!(line(honest), honest);
        }
        assert_eq!(text("one\r\n\ttwo\n"), "one\n\ttwo\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_numbers() {
        assert_eq!(bytes(b"a\xffb\x1bc\n"), "a\\xffb\\u{1b}c\n");
    }

    #[test]
    fn what_goes_on_in_the_next_piece_is_left_for_it() {
        for text in ["café", "a\u{1f680}", "日本", "a\r\nb\r\n", "x"] {
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                let whole = first.len() - begun(first);
                let second = [&first[whole..], second].concat();
                let shown = bytes(&first[..whole]) + &bytes(&second);
                assert_eq!(shown, text.replace('\r', ""), "{text:?} cut at {cut}");
            }
        }
        assert_eq!([begun(b""), begun(b"a\xff"), begun(b"\x80\x80"), begun(b"\xe2\x28")], [0; 4]);
    }

    #[test]
    fn json_says_the_same_in_safe_characters() {
        let value = "a\u{9b}b\u{202e}\u{e0041}";
        let shown = json(serde_json::to_string(value).unwrap());
        assert!(shown.is_ascii());
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), value);
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_ever_left(input in any::<String>()) {
            prop_assert!(!line(&input).chars().any(is_unsafe));
            prop_assert!(!text(&input).chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'));
        }

        #[test]
        fn any_bytes_can_be_shown(input in any::<Vec<u8>>()) {
            prop_assert!(!bytes(&input).chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'));
        }

        #[test]
        fn json_stays_the_same_value(input in any::<String>()) {
            let shown = json(serde_json::to_string(&input).unwrap());
            prop_assert!(!shown.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), input);
        }
    }
}
