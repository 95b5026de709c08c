//! How statements that both databases know are written for each.

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// Before the number of a parameter.
    pub(crate) mark: char,
    /// Ends a statement inside of another that the planner is to leave as it is.
    pub(crate) whole: &'static str,
}

impl Dialect {
    pub(crate) const SQLITE: Self = Self { mark: '?', whole: "LIMIT -1" };
    pub(crate) const POSTGRES: Self = Self { mark: '$', whole: "OFFSET 0" };

    /// SQL whose parameters are written `#1`, `#2` and so on.
    pub(crate) fn marked(self, sql: &str) -> String {
        sql.replace('#', self.mark.encode_utf8(&mut [0; 4]))
    }
}
