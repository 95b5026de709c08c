//! The secrets that nobody configured: made once, kept in the data dir, the same for every command.
//!
//! `serve` verifies with them, `usersig` and `token` sign with them, without a server in between; `callbacks` shows the
//! admin token to the server.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;
use serde::Deserialize;

use crate::config::{Config, Secret};

/// Where generated secrets are kept, inside the data dir.
const FILE: &str = "secrets.toml";
/// 256 bits: as many as HMAC-SHA256, which both dialects sign with, can use.
const SECRET_BYTES: usize = 32;
/// Nobody but the owner may read what signs credentials.
const FILE_MODE: u32 = 0o600;
/// The same for everything that is kept beside it: messages.
const DIR_MODE: u32 = 0o700;

/// What signs credentials, from wherever it came.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    /// Signs Tencent's UserSig.
    pub(crate) tencent_key: Secret,
    /// Signs OpenIM's tokens.
    pub(crate) openim_secret: Secret,
    pub(crate) origin: Origin,
}

/// Where the secrets came from, so that a person can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Both are configured; nothing was read or written.
    Configured,
    /// At least one was read from this file.
    Kept(PathBuf),
    /// At least one was made just now and written to this file.
    Made(PathBuf),
}

/// Why there are no secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// Completes "cannot … <path>".
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "{} does not hold the texts `tencent_key` and `openim_secret` (line {line}); \
         repair it, or delete it to have new ones made: credentials that were issued with the old ones are then refused",
        path.display()
    )]
    Damaged { path: PathBuf, line: usize },
    #[error(
        "there is no admin token in {}; right would be the --config and --data-dir that `ringback serve` was given, \
         or the token in RINGBACK_SERVER__ADMIN_TOKEN",
        path.display()
    )]
    NoAdminToken { path: PathBuf },
}

/// The file's content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    tencent_key: Secret,
    openim_secret: Secret,
    /// Files from before there was an admin API have none: the first server that needs it adds it.
    admin_token: Option<Secret>,
}

impl Secrets {
    /// Takes what is configured, and the rest from the data dir, where it is made if it is not there.
    ///
    /// Two processes that do this at the same time end up with the same secrets.
    pub(crate) fn resolve(config: &Config) -> Result<Self, SecretsError> {
        if let (Some(tencent_key), Some(openim_secret)) = (&config.tencent.key, &config.openim.secret) {
            let (tencent_key, openim_secret) = (tencent_key.clone(), openim_secret.clone());
            return Ok(Self { tencent_key, openim_secret, origin: Origin::Configured });
        }
        let path = config.server.data_dir.join(FILE);
        let (kept, origin) = match read(&path)? {
            Some(kept) => (kept, Origin::Kept(path)),
            None => make(&config.server.data_dir, path)?,
        };
        Ok(Self {
            tencent_key: config.tencent.key.clone().unwrap_or(kept.tencent_key),
            openim_secret: config.openim.secret.clone().unwrap_or(kept.openim_secret),
            origin,
        })
    }
}

/// The token of the admin API, for the server that it opens: what is configured, or what is kept in the data dir, where it
/// is made if it is not there.
pub(crate) fn admin_token(config: &Config) -> Result<(Secret, Origin), SecretsError> {
    if let Some(token) = &config.server.admin_token {
        return Ok((token.clone(), Origin::Configured));
    }
    let path = config.server.data_dir.join(FILE);
    let (kept, origin) = match read(&path)? {
        Some(Kept { admin_token: None, .. }) => complete(&config.server.data_dir, path)?,
        Some(kept) => (kept, Origin::Kept(path)),
        None => make(&config.server.data_dir, path)?,
    };
    match (kept.admin_token, origin) {
        (Some(token), origin) => Ok((token, origin)),
        (None, Origin::Made(path) | Origin::Kept(path)) => Err(SecretsError::NoAdminToken { path }),
        (None, Origin::Configured) => Err(SecretsError::NoAdminToken { path: config.server.data_dir.join(FILE) }),
    }
}

/// The token of the admin API, for whoever calls a server. A new one would open nothing, so none is made.
pub(crate) fn known_admin_token(config: &Config) -> Result<Secret, SecretsError> {
    if let Some(token) = &config.server.admin_token {
        return Ok(token.clone());
    }
    let path = config.server.data_dir.join(FILE);
    match read(&path)?.and_then(|kept| kept.admin_token) {
        Some(token) => Ok(token),
        None => Err(SecretsError::NoAdminToken { path }),
    }
}

/// Makes the data dir, and those above it, if it is not there; only its owner may enter a new one.
pub(crate) fn make_data_dir(path: &Path) -> Result<(), SecretsError> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(path).map_err(cannot("make the data directory", path))
}

fn read(path: &Path) -> Result<Option<Kept>, SecretsError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", path)(error)),
    };
    keep_private(path)?;
    // The parser's own words would show the line, and with it the secret.
    let kept: Kept = toml::from_str(&text).map_err(|error| damaged(path, &text, error.span()))?;
    let texts = [Some(&kept.tencent_key), Some(&kept.openim_secret), kept.admin_token.as_ref()];
    if texts.into_iter().flatten().any(|text| text.expose().is_empty()) {
        return Err(damaged(path, &text, None));
    }
    Ok(Some(kept))
}

fn damaged(path: &Path, text: &str, span: Option<std::ops::Range<usize>>) -> SecretsError {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    SecretsError::Damaged { path: path.to_owned(), line: before.matches('\n').count() + 1 }
}

/// A copy or a restored backup may have lost the mode; that is mended, and said, because someone may have read it.
fn keep_private(path: &Path) -> Result<(), SecretsError> {
    let mode = fs::metadata(path).map_err(cannot("look at", path))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let mended = fs::set_permissions(path, Permissions::from_mode(FILE_MODE)).is_ok();
    let mode = format!("{:o}", mode & 0o777);
    let file = path.display();
    if mended {
        tracing::warn!(%file, mode, "others could read the secrets; the file is private again, but consider new secrets");
    } else {
        tracing::warn!(%file, mode, "others can read the secrets, and the file's mode cannot be changed");
    }
    Ok(())
}

/// Writes new secrets so that the file is there whole or not at all, and never replaces another's.
fn make(data_dir: &Path, path: PathBuf) -> Result<(Kept, Origin), SecretsError> {
    make_data_dir(data_dir)?;
    let (tencent_key, openim_secret) = (new_secret(&path)?, new_secret(&path)?);
    let kept = Kept { tencent_key, openim_secret, admin_token: Some(new_secret(&path)?) };
    match written(data_dir, &kept)?.persist_noclobber(&path) {
        Ok(_) => {
            File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(cannot("write", data_dir))?;
            Ok((kept, Origin::Made(path)))
        }
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => match read(&path)? {
            Some(kept) => Ok((kept, Origin::Kept(path))),
            None => Err(cannot("make", &path)(failed.error)),
        },
        Err(failed) => Err(cannot("make", &path)(failed.error)),
    }
}

/// Adds the admin token to a file that has none. Whoever comes second finds what the first has added.
fn complete(data_dir: &Path, path: PathBuf) -> Result<(Kept, Origin), SecretsError> {
    let file = File::open(&path).map_err(cannot("read", &path))?;
    file.lock().map_err(cannot("lock", &path))?;
    let Some(mut kept) = read(&path)? else { return make(data_dir, path) };
    if kept.admin_token.is_some() {
        return Ok((kept, Origin::Kept(path)));
    }
    kept.admin_token = Some(new_secret(&path)?);
    written(data_dir, &kept)?.persist(&path).map_err(|failed| cannot("write", &path)(failed.error))?;
    File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(cannot("write", data_dir))?;
    Ok((kept, Origin::Made(path)))
}

/// The file's content, on disk, under a name that is not the file's yet.
fn written(data_dir: &Path, kept: &Kept) -> Result<tempfile::NamedTempFile, SecretsError> {
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(data_dir)
        .map_err(cannot("write to the data directory", data_dir))?;
    file.write_all(text(kept).as_bytes())
        // What was signed with these secrets must stay good after a power cut.
        .and_then(|()| file.as_file().sync_all())
        .map_err(cannot("write", file.path()))?;
    Ok(file)
}

fn text(kept: &Kept) -> String {
    let mut text = format!(
        "# Made by Ringback, because these were not configured. Keep this file private, and with the data:\n\
         # without it, every UserSig and token that was issued is refused.\n\
         # As configuration they are called tencent.key, openim.secret and server.admin_token.\n\
         tencent_key = \"{}\"\n\
         openim_secret = \"{}\"\n",
        kept.tencent_key.expose(),
        kept.openim_secret.expose(),
    );
    if let Some(token) = &kept.admin_token {
        text.push_str(&format!("admin_token = \"{}\"\n", token.expose()));
    }
    text
}

/// Hexadecimal, because Tencent's own keys are, and because it needs no quoting anywhere.
fn new_secret(path: &Path) -> Result<Secret, SecretsError> {
    let mut bytes = [0; SECRET_BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| cannot("find randomness for", path)(error.into()))?;
    Ok(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

fn cannot(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SecretsError {
    let path = path.to_owned();
    move |source| SecretsError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(data_dir: &Path, variables: &[(&str, &str)]) -> Config {
        let environment = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let sources = Sources { file: None, data_dir: Some(data_dir.to_owned()), environment };
        Config::load(&sources).expect("a good configuration")
    }

    #[test]
    fn made_once_then_kept() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir.path().join("new/data"), &[]);
        let made = Secrets::resolve(&config).unwrap();
        let kept = Secrets::resolve(&config).unwrap();
        let path = dir.path().join("new/data/secrets.toml");
        assert_eq!(made.origin, Origin::Made(path.clone()));
        assert_eq!(kept.origin, Origin::Kept(path.clone()));
        assert_eq!(made.tencent_key.expose(), kept.tencent_key.expose());
        assert_eq!(made.openim_secret.expose(), kept.openim_secret.expose());
        assert_ne!(made.tencent_key.expose(), made.openim_secret.expose());
        assert_eq!(made.tencent_key.expose().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn many_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[]);
        let all: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Secrets::resolve(&config).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().tencent_key.expose().to_owned()).collect()
        });
        assert!(all.iter().all(|key| *key == all[0]));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays behind: {left:?}");
    }

    #[test]
    fn configured_ones_win_and_two_of_them_need_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let both = [("RINGBACK_TENCENT__KEY", "0123"), ("RINGBACK_OPENIM__SECRET", "mine")];
        let secrets = Secrets::resolve(&config(dir.path(), &both)).unwrap();
        assert_eq!((secrets.tencent_key.expose(), secrets.origin), ("0123", Origin::Configured));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let secrets = Secrets::resolve(&config(dir.path(), &both[..1])).unwrap();
        assert_eq!(secrets.tencent_key.expose(), "0123");
        assert_eq!(secrets.origin, Origin::Made(dir.path().join(FILE)));
    }

    #[test]
    fn the_admin_token_is_made_with_the_others_and_then_kept() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[]);
        let words = known_admin_token(&config).unwrap_err().to_string();
        assert!(words.contains("no admin token") && words.contains("RINGBACK_SERVER__ADMIN_TOKEN"), "{words}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "whoever calls a server makes no token");
        let (made, origin) = admin_token(&config).unwrap();
        assert_eq!((made.expose().len(), origin), (64, Origin::Made(dir.path().join(FILE))));
        let (kept, origin) = admin_token(&config).unwrap();
        assert_eq!((kept.expose(), origin), (made.expose(), Origin::Kept(dir.path().join(FILE))));
        assert_eq!(known_admin_token(&config).unwrap().expose(), made.expose());
        let others = Secrets::resolve(&config).unwrap();
        assert!(others.tencent_key.expose() != made.expose() && others.openim_secret.expose() != made.expose());
    }

    #[test]
    fn a_configured_admin_token_needs_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let token = "0123456789abcdef0123456789abcdef";
        let config = config(dir.path(), &[("RINGBACK_SERVER__ADMIN_TOKEN", token)]);
        let (found, origin) = admin_token(&config).unwrap();
        assert_eq!((found.expose(), origin), (token, Origin::Configured));
        assert_eq!(known_admin_token(&config).unwrap().expose(), token);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    /// A file from before there was an admin API keeps its secrets, and all who complete it at once agree.
    #[test]
    fn an_older_file_gets_an_admin_token_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[]);
        let path = dir.path().join(FILE);
        fs::write(&path, "tencent_key = \"one\"\nopenim_secret = \"two\"\n").unwrap();
        assert!(matches!(known_admin_token(&config), Err(SecretsError::NoAdminToken { .. })));
        let all: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| admin_token(&config).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().0.expose().to_owned()).collect()
        });
        assert!(all.iter().all(|token| *token == all[0] && token.len() == 64), "{all:?}");
        let secrets = Secrets::resolve(&config).unwrap();
        assert_eq!((secrets.tencent_key.expose(), secrets.openim_secret.expose()), ("one", "two"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_readable_file_is_made_private() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[]);
        Secrets::resolve(&config).unwrap();
        let path = dir.path().join(FILE);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Secrets::resolve(&config).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for text in
            ["tencent_key = \"hush", "tencent_key = \"hush\"\n", "tencent_key = \"\"\nopenim_secret = \"hush\"", ""]
        {
            fs::write(&path, text).unwrap();
            let words = Secrets::resolve(&config(dir.path(), &[])).unwrap_err().to_string();
            assert!(words.contains(FILE) && !words.contains("hush"), "{words}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "what is damaged is not replaced");
        }
    }

    #[test]
    fn a_data_dir_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let words = Secrets::resolve(&config(&file.join("data"), &[])).unwrap_err().to_string();
        assert!(words.contains("file/data"), "{words}");
    }
}
