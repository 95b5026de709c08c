//! The files in `docs/schemas`, and whether they are what they should be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde_json::Value;

use crate::Dialect;

/// Set to anything, it has the files written instead of compared.
const UPDATE: &str = "RINGBACK_UPDATE_SCHEMAS";

impl Dialect {
    /// Fails unless the files of this dialect in `directory` are what the code says, no more and no fewer. With
    /// `RINGBACK_UPDATE_SCHEMAS` in the environment they are written.
    pub fn keep(&self, directory: &Path) {
        let files = self.files();
        if env::var_os(UPDATE).is_some() {
            self.write(directory, &files).expect("the files can be written");
        }
        let there = self.read(directory).expect("the files can be read");
        let differs = |path: &&PathBuf| there.get(*path) != files.get(*path);
        let mut odd: Vec<_> = files.keys().chain(there.keys()).filter(differs).collect();
        odd.sort();
        odd.dedup();
        assert!(
            odd.is_empty(),
            "{odd:?} in {} are not what the code says; {UPDATE}=1 rewrites them",
            directory.display()
        );
    }

    /// What each file should hold.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let own = Path::new(self.name);
        let mut files = BTreeMap::from([(self.overview(), text(&self.asyncapi()))]);
        for callback in &self.callbacks {
            let command = callback.command;
            files.insert(
                own.join(format!("{command}.json")),
                text(&callback.call.published(command, Some(callback.summary))),
            );
            let answer = callback.answer.published(&format!("the answer to {command}"), None);
            files.insert(own.join(format!("{command}.answer.json")), text(&answer));
        }
        files
    }

    fn overview(&self) -> PathBuf {
        format!("{}.asyncapi.json", self.name).into()
    }

    /// What each file that is there holds.
    fn read(&self, directory: &Path) -> io::Result<BTreeMap<PathBuf, String>> {
        let mut files = BTreeMap::new();
        let mut take = |path: PathBuf| match fs::read_to_string(directory.join(&path)) {
            Ok(text) => {
                files.insert(path, text);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        take(self.overview())?;
        if let Ok(entries) = fs::read_dir(directory.join(self.name)) {
            for entry in entries {
                take(Path::new(self.name).join(entry?.file_name()))?;
            }
        }
        Ok(files)
    }

    fn write(&self, directory: &Path, files: &BTreeMap<PathBuf, String>) -> io::Result<()> {
        fs::create_dir_all(directory.join(self.name))?;
        for stale in self.read(directory)?.keys().filter(|path| !files.contains_key(*path)) {
            fs::remove_file(directory.join(stale))?;
        }
        files.iter().try_for_each(|(path, text)| fs::write(directory.join(path), text))
    }
}

fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;
    use crate::{Callback, Moment, Shape};

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Body {
        field: String,
    }

    fn dialect(title: &'static str) -> Dialect {
        let shape = || Shape::sent::<Body>().example(br#"{"field":""}"#);
        let callback = Callback { command: "a.b", moment: Moment::Told, summary: "", call: shape(), answer: shape() };
        Dialect { name: "d", title, description: "", callbacks: vec![callback] }
    }

    fn is_current(dialect: Dialect, directory: &Path) -> bool {
        std::panic::catch_unwind(|| dialect.keep(directory)).is_ok()
    }

    #[test]
    fn files_that_differ_lack_or_are_too_many_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        assert!(!is_current(dialect("one"), directory), "there is none");
        let one = dialect("one");
        one.write(directory, &one.files()).unwrap();
        assert!(is_current(dialect("one"), directory));
        assert!(!is_current(dialect("other"), directory), "the overview has the title");
        fs::write(directory.join("d/stale.json"), "{}").unwrap();
        assert!(!is_current(dialect("one"), directory), "one too many");
        one.write(directory, &one.files()).unwrap();
        assert!(is_current(dialect("one"), directory), "writing removes it");
        fs::remove_file(directory.join("d/a.b.answer.json")).unwrap();
        assert!(!is_current(dialect("one"), directory), "one lacks");
    }
}
