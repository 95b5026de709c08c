//! `ringback usersig` and `ringback token`: credentials without a running server.

use chat::id::AccountId;
use chat::port::Clock;

use crate::cli::{TokenArgs, UsersigArgs};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::secrets::Secrets;

/// A UserSig for `args.user`, good for `args.expire` from now.
pub(crate) fn usersig(config: &Config, secrets: &Secrets, args: &UsersigArgs) -> String {
    let user = AccountId::new(args.user.as_str());
    let key = secrets.tencent_key.expose();
    tencent::usersig::issue(config.tencent.sdkappid, key, &user, SystemClock.now(), args.expire.as_secs())
}

/// An OpenIM token for `args.user` on `args.platform`, good for `args.expire` from now.
pub(crate) fn token(secrets: &Secrets, args: &TokenArgs) -> String {
    let user = AccountId::new(args.user.as_str());
    openim::token::issue(secrets.openim_secret.expose(), &user, args.platform, SystemClock.now(), args.expire)
}

/// A UserSig of the first configured admin, good for a day: for the demo.
pub(crate) fn admin_usersig(config: &Config, secrets: &Secrets) -> String {
    let admin = config.tencent.admins.first().map(|name| AccountId::new(name.as_str()));
    let admin = admin.unwrap_or_else(|| AccountId::new("administrator"));
    let key = secrets.tencent_key.expose();
    tencent::usersig::issue(config.tencent.sdkappid, key, &admin, SystemClock.now(), 24 * 60 * 60)
}
