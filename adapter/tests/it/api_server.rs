//! An API server in miniature: lists, watches, token and access reviews.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

type Body = BoxBody<Bytes, Infallible>;

/// Something that happened to an object of a collection.
#[derive(Clone)]
struct Change {
    collection: String,
    kind: &'static str,
    object: Value,
}

#[derive(Default)]
struct State {
    /// Objects by collection path and name.
    objects: HashMap<String, BTreeMap<String, Value>>,
    /// The resource version of a change is its place here.
    changes: Vec<Change>,
    /// Users by token.
    tokens: HashMap<String, Value>,
    /// `USER VERB RESOURCE` that are allowed.
    allowed: Vec<String>,
    /// Access reviews in the order in which they came.
    reviews: Vec<Value>,
}

/// A running fake.
#[derive(Clone)]
pub struct ApiServer {
    state: Arc<Mutex<State>>,
    /// Number of changes; the second says whether it answers.
    changed: Arc<watch::Sender<(usize, bool)>>,
    pub address: SocketAddr,
}

impl ApiServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            state: Arc::default(),
            changed: Arc::new(watch::channel((0, true)).0),
            address: listener.local_addr().unwrap(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let server = server.clone();
                        async move { Ok::<_, Infallible>(server.handle(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(tcp), service)
                        .await;
                });
            }
        });
        server
    }

    /// Puts an object into a collection such as `/api/v1/pods`.
    pub fn put(&self, collection: &str, mut object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.change(|state| {
            object["metadata"]["resourceVersion"] = json!((state.changes.len() + 1).to_string());
            let known = state
                .objects
                .entry(collection.into())
                .or_default()
                .insert(name, object.clone());
            let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
            state.changes.push(Change {
                collection: collection.into(),
                kind,
                object,
            });
        });
    }

    pub fn delete(&self, collection: &str, name: &str) {
        self.change(|state| {
            let object = state.objects.get_mut(collection).unwrap().remove(name).unwrap();
            state.changes.push(Change {
                collection: collection.into(),
                kind: "DELETED",
                object,
            });
        });
    }

    /// Makes it answer or fail everything; failing also ends all watches.
    pub fn set_available(&self, available: bool) {
        self.changed.send_modify(|(_, now)| *now = available);
    }

    pub fn add_token(&self, token: &str, user: Value) {
        self.state.lock().tokens.insert(token.into(), user);
    }

    /// Allows `USER VERB RESOURCE`, for example `jo get pods/queue_depth`.
    pub fn allow(&self, rule: &str) {
        self.state.lock().allowed.push(rule.into());
    }

    pub fn reviews(&self) -> Vec<Value> {
        self.state.lock().reviews.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let count = state.changes.len();
        self.changed.send_modify(|(changes, _)| *changes = count);
    }

    fn is_available(&self) -> bool {
        self.changed.borrow().1
    }

    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        if !self.is_available() {
            return answer(StatusCode::SERVICE_UNAVAILABLE, &status(503, "ServiceUnavailable"));
        }
        let path = request.uri().path().to_owned();
        let query: HashMap<String, String> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        if request.method() == http::Method::POST {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let review: Value = serde_json::from_slice(&body).unwrap();
            return answer(StatusCode::CREATED, &self.review(&path, review));
        }
        let name = query
            .get("fieldSelector")
            .and_then(|field| field.strip_prefix("metadata.name="))
            .map(str::to_owned);
        if query.get("watch").is_some_and(|watch| watch == "true" || watch == "1") {
            let from = query
                .get("resourceVersion")
                .and_then(|version| version.parse().ok())
                .unwrap_or(0);
            return self.watch(path, name, from);
        }
        let state = self.state.lock();
        let items: Vec<&Value> = state
            .objects
            .get(&path)
            .into_iter()
            .flatten()
            .filter(|(found, _)| name.as_ref().is_none_or(|name| name == *found))
            .map(|(_, object)| object)
            .collect();
        let version = state.changes.len().to_string();
        answer(
            StatusCode::OK,
            &json!({
                "kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items,
            }),
        )
    }

    fn watch(&self, collection: String, name: Option<String>, from: usize) -> Response<Body> {
        let server = self.clone();
        let changed = self.changed.subscribe();
        let lines = stream::unfold((from, changed), move |(mut next, mut changed)| {
            let (server, collection, name) = (server.clone(), collection.clone(), name.clone());
            async move {
                loop {
                    if !server.is_available() {
                        return None;
                    }
                    while let Some(change) = server.state.lock().changes.get(next).cloned() {
                        next += 1;
                        let named = name
                            .as_ref()
                            .is_none_or(|name| change.object["metadata"]["name"] == **name);
                        if change.collection == collection && named {
                            let line = format!("{}\n", json!({"type": change.kind, "object": change.object}));
                            return Some((Ok(Frame::data(Bytes::from(line))), (next, changed)));
                        }
                    }
                    changed.changed().await.ok()?;
                }
            }
        });
        Response::new(StreamBody::new(lines.boxed()).boxed_unsync_or_sync())
    }

    fn review(&self, path: &str, mut review: Value) -> Value {
        let mut state = self.state.lock();
        if path.ends_with("/tokenreviews") {
            let user = state.tokens.get(review["spec"]["token"].as_str().unwrap()).cloned();
            review["status"] = json!({"authenticated": user.is_some(), "user": user.unwrap_or(json!({}))});
        } else {
            let spec = &review["spec"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let resource = &spec["resourceAttributes"];
            let what = if resource.is_object() {
                let (name, subresource) = (text(&resource["resource"]), text(&resource["subresource"]));
                let full = if subresource.is_empty() {
                    name
                } else {
                    format!("{name}/{subresource}")
                };
                format!("{} {full}", text(&resource["verb"]))
            } else {
                let path = &spec["nonResourceAttributes"];
                format!("{} {}", text(&path["verb"]), text(&path["path"]))
            };
            let allowed = state.allowed.contains(&format!("{} {what}", text(&spec["user"])));
            state.reviews.push(spec.clone());
            review["status"] = json!({ "allowed": allowed });
        }
        review
    }
}

/// The watch body needs the same type as a plain one.
trait Boxed {
    fn boxed_unsync_or_sync(self) -> Body;
}

impl<S> Boxed for StreamBody<S>
where
    S: futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Unpin + 'static,
{
    fn boxed_unsync_or_sync(self) -> Body {
        BoxBody::new(SyncBody(Mutex::new(self)))
    }
}

/// Makes a body `Sync`, which `BoxBody` asks for.
struct SyncBody<B>(Mutex<B>);

impl<B> hyper::body::Body for SyncBody<B>
where
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::pin::Pin::new(self.get_mut().0.get_mut()).poll_frame(context)
    }
}

fn answer(code: StatusCode, value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).boxed();
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}
