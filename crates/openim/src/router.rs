//! Every path, on one page.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use chat::Chat;
use chat::online::Online;
use tower_http::compression::CompressionLayer;

use crate::call::{App, open, signed, strict};
use crate::config::Config;
use crate::error::{ApiError, Code};
use crate::routes::{auth, group, msg, user};
use crate::{cors, envelope, gateway};

/// The dialect over `chat`, and whoever is connected to it.
#[derive(Clone, Debug)]
pub struct OpenIm(Arc<App>);

impl OpenIm {
    /// Puts it together. What happens is given to `online` by others.
    pub fn new(chat: Arc<Chat>, online: Arc<Online>, config: Config) -> Self {
        Self(Arc::new(App { chat, online, config }))
    }

    /// The REST API, with the gateway at `/`. Serve it with connect info, so that callers' addresses are known.
    pub fn rest(&self) -> Router {
        rest().with_state(self.0.clone())
    }

    /// The gateway, at any path. Serve it with connect info and upgrades, on plain sockets.
    pub fn gateway(&self) -> Router {
        Router::new().fallback(gateway::accept).layer(from_fn(cors::allow_all)).with_state(self.0.clone())
    }
}

fn rest() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(gateway::accept))
        .route("/auth/get_admin_token", open(auth::get_admin_token::handle))
        .route("/auth/get_user_token", signed(auth::get_user_token::handle))
        .route("/auth/parse_token", open(auth::parse_token::handle))
        .route("/user/user_register", signed(user::user_register::handle))
        .route("/user/get_users_info", signed(user::get_users_info::handle))
        .route("/group/create_group", signed(group::create_group::handle))
        .route("/group/get_groups_info", signed(group::get_groups_info::handle))
        .route("/group/set_group_info", signed(group::set_group_info::handle))
        .route("/group/set_group_info_ex", signed(group::set_group_info_ex::handle))
        .route("/group/invite_user_to_group", signed(group::invite_user_to_group::handle))
        .route("/group/get_group_member_list", signed(group::get_group_member_list::handle))
        .route("/msg/send_msg", strict(msg::send_msg::handle))
        .route("/msg/batch_send_msg", strict(msg::batch_send_msg::handle))
        .route(
            "/msg/get_conversations_has_read_and_max_seq",
            signed(msg::get_conversations_has_read_and_max_seq::handle),
        )
        .route("/msg/newest_seq", signed(msg::newest_seq::handle))
        .route("/msg/pull_msg_by_seq", signed(msg::pull_msg_by_seq::handle))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(from_fn(cors::allow_all))
        .layer(CompressionLayer::new())
}

/// Any other path, and any other method.
async fn unknown(request: Request) -> Response {
    let detail = format!("there is no {} {}", request.method(), request.uri().path());
    envelope::refuse(&ApiError { status: StatusCode::NOT_FOUND, ..Code::RecordNotFound.because(detail) })
}

#[cfg(test)]
mod tests;
