//! `ringback demo`: the server and a sample app backend, and what happens between them.
//!
//! Nothing is staged: a real server on a temporary data dir, a real backend (the one of `ringback listen`), real HTTP
//! between them, on free ports.

mod scenarios;
mod stage;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use self::stage::Stage;
use crate::cli::DemoArgs;
use crate::config::{Config, Sources};
use crate::failure::Failure;
use crate::listen::{self, Options, Replacement, Rules, Sink};
use crate::log::has_colours;
use crate::secrets::{self, Secrets};
use crate::serve::Server;
use crate::{credentials, health};

/// Calls that the demo has not looked at yet; it looks after each request, which causes three at most.
const UNSEEN_CALLS: usize = 256;

/// Plays the scenarios; then goes on serving, unless it is told to play only once.
pub(crate) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let dir = tempfile::tempdir().map_err(Failure::work)?;
    let (seen, calls) = mpsc::channel(UNSEEN_CALLS);
    let sink: Sink = Arc::new(move |exchange| {
        // Once the scenarios are over nobody looks any more.
        let _ = seen.try_send(exchange.clone());
    });
    let options = Options { rules: rules(), ..Options::default() };
    let backend = listen::serve(([127, 0, 0, 1], 0).into(), options, sink).await.map_err(Failure::work)?;

    let file = dir.path().join("ringback.toml");
    std::fs::write(&file, configuration(dir.path(), backend.address.port())).map_err(Failure::work)?;
    let config = Config::load(&Sources { file: Some(file.clone()), ..Sources::default() })?;
    let secrets = Secrets::resolve(&config).map_err(Failure::work)?;
    let (admin_token, _) = secrets::admin_token(&config).map_err(Failure::work)?;
    let server = Server::start(&config, &secrets, &admin_token, health::collect_metrics()?).await?;

    let colours = has_colours(&std::io::stdout());
    let usersig = credentials::admin_usersig(&config, &secrets);
    let openim_secret = secrets.openim_secret.expose().to_owned();
    let mut stage = Stage::new(server.address, usersig.clone(), openim_secret, calls, colours);
    let failed = scenarios::play(&mut stage).await;

    if !args.once {
        let end = stage::stop_signal();
        print_how_to_go_on(&server, &file, &usersig);
        end.await.map_err(Failure::work)?;
    }
    drop(stage);
    server.stop().await;
    backend.stop().await.map_err(Failure::work)?;
    if failed == 0 { Ok(()) } else { Err(Failure::work(format!("{failed} scenarios did not do what they should"))) }
}

fn rules() -> Rules {
    let replacement = Replacement { from: "darn".into(), to: "d**n".into() };
    Rules { reject: vec!["casino".into()], discard: vec!["psst".into()], replace: vec![replacement], fail_rate: 0.0 }
}

fn configuration(dir: &Path, backend_port: u16) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
data_dir = {dir:?}

[[endpoint]]
name = "app"
dialect = "tencent"
url = "http://127.0.0.1:{backend_port}/callback"
commands = ["*"]

[[endpoint]]
name = "openim-app"
dialect = "openim"
url = "http://127.0.0.1:{backend_port}/openim"
commands = ["callbackBeforeSendGroupMsgCommand", "callbackAfterSendGroupMsgCommand"]
"#
    )
}

fn print_how_to_go_on(server: &Server, config: &Path, usersig: &str) {
    let (address, config) = (server.address, config.display());
    let mut out = std::io::stdout().lock();
    // Whoever closed the pipe has seen enough.
    let _ = writeln!(
        out,
        "\nStill serving on http://{address}, until Ctrl-C. Your turn (\"casino\" is refused, \"psst\" is dropped, \
         \"darn\" is changed):\n\n  \
         curl 'http://{address}/v4/openim/sendmsg?sdkappid=1400000000&identifier=administrator&usersig={usersig}&random=1&contenttype=json' \\\n    \
         -d '{{\"From_Account\":\"alice\",\"To_Account\":\"bob\",\"MsgRandom\":1,\"MsgBody\":[{{\"MsgType\":\"TIMTextElem\",\"MsgContent\":{{\"Text\":\"darn\"}}}}]}}'\n\n\
         Its configuration: {config}\n\
         A server of your own: `ringback serve`; a backend to watch: `ringback listen`."
    );
    if !std::io::stdout().is_terminal() {
        let _ = out.flush();
    }
}
