//! `chat`: a streaming client to try a gateway with.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tokenweir_llm::conversation::Role;
use tokio::signal::unix::{SignalKind, signal};

use super::door::{Door, DoorArgs};
use crate::chat::{self, Chat, ChatError, Piece, Speaks, Told};
use crate::cli::{Context, Form};
use crate::error::CtlError;
use crate::output::{Tone, chat_facts, shown};
use crate::reach::Trust;

pub const EXAMPLES: &str = "Examples:
  tokenweirctl chat 'Why is the sky blue?'               # the only gateway, tenant and model of the namespace
  tokenweirctl chat -m assistant --gateway edge --tenant acme -n llm
  git diff | tokenweirctl chat -m assistant --system 'Review this change.'
  TOKENWEIR_API_KEY=... tokenweirctl chat --url http://127.0.0.1:8080 --dialect anthropic 'Hello'

Without a prompt, lines are read from the terminal, and all of them are one conversation; Ctrl-D ends it. Ctrl-C cancels
an answer, at the gateway too; so does a reader that leaves. The answer goes to standard output, what is known about it to standard error.";

#[derive(Debug, Args)]
pub struct ChatArgs {
    /// What to say [default: standard input, line by line if it is a terminal]
    #[arg(value_name = "PROMPT")]
    prompt: Vec<String>,

    /// Model to ask for [default: the only one that the key may ask for]
    #[arg(short, long, value_name = "NAME")]
    model: Option<String>,

    /// Instructions to the model
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Most tokens to answer with
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,

    /// What to speak with the gateway
    #[arg(long, value_enum, default_value_t)]
    dialect: Speaks,

    /// The answer alone, without what is known about it
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    door: DoorArgs,

    /// PEM file of the authorities to trust [default: those of this machine]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    ca_file: Option<PathBuf>,

    /// Name that the gateway's certificate must have [default: that of the place]
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    server_name: Option<String>,
}

pub async fn run(context: &Context, args: &ChatArgs) -> Result<(), CtlError> {
    let form = context.form("chat", &[Form::Table, Form::Json, Form::Yaml])?;
    let Door { place, key } = args.door.find(context).await?;
    let mut chat = Chat {
        place,
        key,
        trust: Trust {
            ca_file: args.ca_file.clone(),
            server_name: args.server_name.clone(),
        },
        speaks: args.dialect,
        model: args.model.clone().unwrap_or_default(),
        max_tokens: args.max_tokens,
        messages: Vec::new(),
    };
    if args.model.is_none() {
        chat.model = only_model(&chat).await?;
    }
    if let Some(system) = &args.system {
        chat.say(Role::System, system);
    }
    let prompt = prompt(args)?;
    // Not before: what waits for standard input ends as every program does with Ctrl-C.
    let interrupted = signal(SignalKind::interrupt()).map_err(CtlError::io("signals"))?;
    let mut talk = Talk {
        context,
        form,
        quiet: args.quiet,
        chat,
        interrupted,
    };
    match prompt {
        Some(prompt) => talk.once(&prompt).await,
        None => talk.many().await,
    }
}

/// What to say; `None`: what comes line by line from the terminal.
fn prompt(args: &ChatArgs) -> Result<Option<String>, CtlError> {
    if !args.prompt.is_empty() {
        return Ok(Some(args.prompt.join(" ")));
    }
    if std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut prompt = String::new();
    std::io::stdin()
        .read_to_string(&mut prompt)
        .map_err(CtlError::io("standard input"))?;
    if prompt.trim().is_empty() {
        return Err(CtlError::Usage(
            "there is nothing to say: standard input is empty".to_owned(),
        ));
    }
    Ok(Some(prompt))
}

async fn only_model(chat: &Chat) -> Result<String, CtlError> {
    let mut models = chat::models(chat).await?;
    match (models.pop(), models.is_empty()) {
        (Some(model), true) => Ok(model),
        (Some(last), false) => Err(CtlError::Usage(format!(
            "the key may ask for several models: {}, {last}; name one with --model",
            models.join(", ")
        ))),
        (None, _) => Err(CtlError::Usage(
            "the gateway lists no model for this key; name one with --model".to_owned(),
        )),
    }
}

/// A conversation at a terminal.
struct Talk<'a> {
    context: &'a Context,
    form: Form,
    quiet: bool,
    chat: Chat,
    interrupted: tokio::signal::unix::Signal,
}

impl Talk<'_> {
    /// One question and its answer.
    async fn once(&mut self, prompt: &str) -> Result<(), CtlError> {
        self.chat.say(Role::User, prompt);
        self.answer().await.map(|_| ())
    }

    /// Questions line by line, until their end.
    async fn many(&mut self) -> Result<(), CtlError> {
        self.context
            .note(&format!("{}; Ctrl-D ends, Ctrl-C cancels an answer", self.chat.model));
        loop {
            let _ = write!(std::io::stderr(), "> ");
            let reading = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                std::io::stdin()
                    .read_line(&mut line)
                    .map(|read| (read > 0).then_some(line))
            });
            let line = tokio::select! {
                line = reading => line.map_err(std::io::Error::other).flatten().map_err(CtlError::io("standard input"))?,
                _ = self.interrupted.recv() => {
                    self.context.note("");
                    return Err(CtlError::Cancelled);
                }
            };
            let Some(line) = line else {
                self.context.note("");
                return Ok(());
            };
            if line.trim().is_empty() {
                continue;
            }
            self.chat.say(Role::User, line.trim());
            match self.answer().await {
                Ok(told) => self.chat.say(Role::Assistant, &told.text),
                // The question is taken back, so that the next one does not stand behind one without an answer.
                Err(error @ (CtlError::Chat(_) | CtlError::Cancelled)) => {
                    self.chat.messages.pop();
                    self.context.note(&error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn answer(&mut self) -> Result<Told, CtlError> {
        let (people, color) = (self.form == Form::Table, self.context.color);
        let terminal = std::io::stdout().is_terminal();
        let mut broken = None;
        let show = |piece: &Piece| {
            let (text, tone) = match piece {
                Piece::Text(text) => (text.clone(), Tone::Plain),
                Piece::Thought(text) => (text.clone(), Tone::Faint),
                Piece::Call(name) => (format!("[calls {name}]"), Tone::Warn),
            };
            // Thoughts are for eyes; what is piped on is the answer.
            if people && (terminal || matches!(piece, Piece::Text(_))) {
                let text = if terminal { shown(&text) } else { text };
                return self.context.print(&tone.paint(&text, color)).unwrap_or_else(|error| {
                    broken = Some(error);
                    false
                });
            }
            true
        };
        let asked = tokio::select! {
            asked = chat::ask(&self.chat, show) => asked.map_err(CtlError::from),
            _ = self.interrupted.recv() => Err(CtlError::Cancelled),
        };
        if let Err(CtlError::Chat(ChatError::Unread)) = asked {
            return Err(broken.unwrap_or(CtlError::Unread));
        }
        if people {
            self.context.print("\n")?;
        }
        let told = asked?;
        if !people {
            self.context.print_value(&value(&told), self.form)?;
        } else if !self.quiet {
            self.context.note(&chat_facts(&told));
        }
        Ok(told)
    }
}

fn value(told: &Told) -> Value {
    let ms = |span: std::time::Duration| (span.as_secs_f64() * 1e6).round() / 1e3;
    json!({
        "text": told.text,
        "firstTokenMs": told.first.map(ms),
        "totalMs": ms(told.total),
        "inputTokens": told.usage.prompt_tokens,
        "outputTokens": told.usage.completion_tokens,
        "model": told.model,
        "provider": told.provider,
        "attempts": told.attempts,
        "requestId": told.request_id,
        "ended": told.ended,
    })
}
