//! What a terminal is shown: coloured where it can be, and never steered by what others say.

/// What something is coloured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Dim,
    Bold,
    Good,
    Warning,
    Bad,
}

/// A text in its colour; as it is, where there are no colours.
pub(crate) fn paint(colours: bool, tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Dim => 2,
        Tone::Bold => 1,
        Tone::Good => 32,
        Tone::Warning => 33,
        Tone::Bad => 31,
    };
    if colours && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// One line of what somebody else wrote, a backend, a sender or a server: control characters, and those that turn the
/// reading direction, are blanks. It must not steer the terminal, nor look like other lines of ours.
pub(crate) fn printable(text: &str) -> String {
    let is_steering = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_steering(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_steers_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\u{7}\r\nc\u{9b}d\u{202e}e\u{2066}f\u{2028}g\u{7f}é 漢"),
            "a [2Jb   c d e f g é 漢"
        );
        assert_eq!(printable(""), "");
    }

    #[test]
    fn colours_are_only_added() {
        assert_eq!(paint(true, Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
        for (colours, tone, text) in [(false, Tone::Bad, "no"), (true, Tone::Plain, "no"), (true, Tone::Bad, "")] {
            assert_eq!(paint(colours, tone, text), text);
        }
    }
}
