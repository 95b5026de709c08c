//! Tables that fit on a terminal.

use crate::terminal::{Tone, paint, printable};

/// No line is longer, in characters.
pub(super) const WIDTH: usize = 100;

/// Between two columns.
const GAP: &str = "  ";

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell(pub(super) String, pub(super) Tone);

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(text.into(), Tone::Plain)
    }
}

/// A column: its head, whether it is aligned to the right, and its greatest width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column(pub(super) &'static str, pub(super) Side, pub(super) usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows under a head, aligned, each line ended. The last column gets what is left of the line.
pub(super) fn table(columns: &[Column], rows: &[Vec<Cell>], colours: bool) -> String {
    let mut widths: Vec<usize> = Vec::with_capacity(columns.len());
    let mut left = WIDTH;
    for (index, Column(head, _, most)) in columns.iter().enumerate() {
        let longest = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.0.chars().count()).max();
        let width = longest.unwrap_or(0).max(head.len()).min(*most).min(left);
        left = left.saturating_sub(width + GAP.len());
        widths.push(width);
    }
    let head = columns.iter().map(|Column(head, ..)| Cell((*head).to_owned(), Tone::Dim)).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for ((cell, Column(_, side, _)), width) in row.iter().zip(columns).zip(&widths) {
            let shown = cut(&cell.0, *width);
            let blank = " ".repeat(width - shown.chars().count());
            let shown = paint(colours, cell.1, &shown);
            let (before, after) = if *side == Side::Right { (blank, String::new()) } else { (String::new(), blank) };
            line.push_str(&format!("{before}{shown}{after}{GAP}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// At most so many characters, on one line. What was left out is shown to be.
pub(super) fn cut(text: &str, most: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= most {
        return text;
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A text in lines of at most so many characters, broken between words where that does not leave half a line blank.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let text: Vec<char> = printable(text).chars().collect();
    let mut rest = text.as_slice();
    let mut lines = Vec::new();
    while rest.len() > width {
        let blank = rest[..width].iter().rposition(|c| *c == ' ').filter(|place| *place > width / 2);
        let end = blank.map_or(width, |place| place + 1);
        lines.push(rest[..end].iter().collect::<String>().trim_end().to_owned());
        rest = &rest[end..];
    }
    lines.push(rest.iter().collect());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_fit() {
        let columns = [Column("NAME", Side::Left, 8), Column("N", Side::Right, 9), Column("WHY", Side::Left, 999)];
        let rows = vec![
            vec!["a".into(), "1".into(), "x".repeat(200).into()],
            vec!["a-long-name".into(), "1000".into(), "line\nbreak".into()],
        ];
        let text = table(&columns, &rows, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NAME         N  WHY");
        assert!(lines[1].starts_with("a            1  xxx") && lines[1].ends_with('…'), "{text}");
        assert_eq!(lines[1].chars().count(), WIDTH);
        assert_eq!(lines[2], "a-long-…  1000  line break");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn long_texts_are_broken_and_whole() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("o twothreefour", 6), ["o twot", "hreefo", "ur"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn colours_do_not_change_the_widths() {
        let columns = [Column("A", Side::Left, 9), Column("B", Side::Left, 9)];
        let rows = vec![vec![Cell("up".to_owned(), Tone::Good), "x".into()]];
        let text = table(&columns, &rows, true);
        assert!(text.contains("\u{1b}[32mup\u{1b}[0m  x"), "{text:?}");
        assert!(!table(&columns, &rows, false).contains('\u{1b}'));
    }
}
