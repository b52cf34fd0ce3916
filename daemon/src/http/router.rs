//! Which path is answered by what.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;
use tracing::error;

/// An answer, whole.
pub type Answer = Response<Full<Bytes>>;

/// The paths that are served; all others are not found.
#[derive(Default)]
pub struct Router {
    paths: BTreeMap<String, Handlers>,
    guard: Option<Guard>,
}

/// What answers a path, by what it is asked with.
#[derive(Default)]
struct Handlers {
    get: Option<Handler>,
    post: Option<Handler>,
}

type Handler = Arc<dyn Fn(Parts) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;
type Guard = Box<dyn Fn(&Parts) -> Option<Answer> + Send + Sync>;

impl Router {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers GET and HEAD of exactly this path. Of two handlers the first stays.
    #[must_use]
    pub fn get<F>(
        mut self,
        path: impl Into<String>,
        handler: impl Fn(Parts) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let handlers = self.paths.entry(path.into()).or_default();
        handlers.get.get_or_insert_with(|| boxed(handler));
        self
    }

    /// Answers POST of exactly this path; what is to be done stands in its query, and a body is not
    /// read. Of two handlers the first stays.
    #[must_use]
    pub fn post<F>(
        mut self,
        path: impl Into<String>,
        handler: impl Fn(Parts) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let handlers = self.paths.entry(path.into()).or_default();
        handlers.post.get_or_insert_with(|| boxed(handler));
        self
    }

    /// Asks `guard` before any path is answered: what it answers is given instead.
    #[must_use]
    pub fn guarded(
        mut self,
        guard: impl Fn(&Parts) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// The paths, sorted, each with the methods that it takes.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let paths = self.paths.iter();
        paths.map(|(path, handlers)| (path.as_str(), handlers.methods()))
    }

    pub(super) async fn answer(&self, head: Parts) -> Answer {
        if let Some(refused) = self.guard.as_ref().and_then(|guard| guard(&head)) {
            return refused;
        }
        let Some(handlers) = self.paths.get(head.uri.path()) else {
            return text(StatusCode::NOT_FOUND, "nothing is served at this path\n");
        };
        let handler = match head.method {
            Method::GET | Method::HEAD => &handlers.get,
            Method::POST => &handlers.post,
            _ => &None,
        };
        let Some(handler) = handler else {
            let methods = handlers.methods();
            let why = format!("this path is for {methods}\n");
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, why);
            let allowed = HeaderValue::from_static(methods);
            answer.headers_mut().insert(ALLOW, allowed);
            return answer;
        };
        let path = head.uri.path().to_owned();
        bounded(handler(head).await, &path)
    }
}

impl Handlers {
    fn methods(&self) -> &'static str {
        match (&self.get, &self.post) {
            (Some(_), Some(_)) => "GET, HEAD, POST",
            (Some(_), None) => "GET, HEAD",
            (None, Some(_)) => "POST",
            (None, None) => "",
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.paths.keys()).finish()
    }
}

fn boxed<F>(handler: impl Fn(Parts) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Answer> + Send + 'static,
{
    Arc::new(move |head| Box::pin(handler(head)))
}

/// An answer in plain text.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", body.into())
}

/// An answer in JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(body) => answer(status, "application/json", body.into()),
        Err(error) => {
            error!(
                error = &error as &dyn std::error::Error,
                "an answer cannot be written as JSON"
            );
            broken()
        }
    }
}

/// An answer of this media type.
pub fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    answer(status, kind, body.into())
}

fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Each answer is held in memory until its reader has it.
fn bounded(answer: Answer, path: &str) -> Answer {
    use hyper::body::Body as _;
    if answer.body().size_hint().lower() <= LARGEST_ANSWER {
        return answer;
    }
    error!(path, most = LARGEST_ANSWER, "an answer is too large");
    broken()
}

fn broken() -> Answer {
    text(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the answer cannot be given; see the log of the daemon\n",
    )
}

pub(super) const LARGEST_ANSWER: u64 = 16 * 1024 * 1024;
