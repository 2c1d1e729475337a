//! Builds workflow commands for the Actions runner: annotations and escaped values.
//!
//! Values are encoded (`%`, CR, LF, and in properties `:` and `,`), so that a value cannot end its command or start another.

use std::fmt::Write as _;

/// The severity of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Level {
    Error,
    Warning,
    Notice,
}

/// A line in the job log that GitHub shows next to the code.
#[derive(Clone, Debug)]
pub struct Annotation<'a> {
    pub level: Level,
    pub message: &'a str,
    pub title: Option<&'a str>,
    /// The path in the repository.
    pub file: Option<&'a str>,
    /// The first line, from 1.
    pub line: Option<u32>,
    pub end_line: Option<u32>,
    /// The first column, from 1. GitHub accepts columns only within one line.
    pub column: Option<u32>,
    pub end_column: Option<u32>,
}

impl Annotation<'_> {
    /// Returns the command with its line end.
    pub fn command(&self) -> String {
        let name = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        };
        let one_line = self.end_line.is_none() || self.end_line == self.line;
        let number = |n: Option<u32>| n.map(|n| n.to_string());
        let properties = [
            ("file", self.file.map(str::to_owned)),
            ("line", number(self.line)),
            ("endLine", number(self.end_line)),
            ("col", number(self.column.filter(|_| one_line))),
            ("endColumn", number(self.end_column.filter(|_| one_line))),
            ("title", self.title.map(str::to_owned)),
        ];
        let mut command = format!("::{name}");
        let mut separator = ' ';
        for (key, value) in properties {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = write!(command, "{separator}{key}={}", property(&value));
                separator = ',';
            }
        }
        let _ = writeln!(command, "::{}", data(self.message));
        command
    }
}

/// Encodes the text of a command, so that it stays on one line.
pub fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Encodes the value of a property.
pub fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_its_command() {
        let annotation = Annotation {
            level: Level::Error,
            message: "50% of\r\n::stop-commands::x",
            title: Some("a,b::c"),
            file: Some("x:y,z\n.md"),
            line: Some(3),
            end_line: Some(3),
            column: Some(1),
            end_column: Some(4),
        };
        assert_eq!(
            annotation.command(),
            "::error file=x%3Ay%2Cz%0A.md,line=3,endLine=3,col=1,endColumn=4,title=a%2Cb%3A%3Ac::50%25 of%0D%0A::stop-commands::x\n"
        );
    }

    #[test]
    fn columns_are_left_out_across_lines() {
        let annotation = Annotation {
            level: Level::Notice,
            message: "m",
            title: None,
            file: None,
            line: Some(3),
            end_line: Some(4),
            column: Some(1),
            end_column: Some(4),
        };
        assert_eq!(annotation.command(), "::notice line=3,endLine=4::m\n");
    }
}
