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
    gets: BTreeMap<String, Handler>,
}

type Handler = Arc<dyn Fn(Parts) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

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
        let handler: Handler = Arc::new(move |head| Box::pin(handler(head)));
        self.gets.entry(path.into()).or_insert(handler);
        self
    }

    pub(super) async fn answer(&self, head: Parts) -> Answer {
        let Some(handler) = self.gets.get(head.uri.path()) else {
            return text(StatusCode::NOT_FOUND, "nothing is served at this path\n");
        };
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "this path is for GET\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allowed);
            return answer;
        }
        let path = head.uri.path().to_owned();
        bounded(handler(head).await, &path)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.gets.keys()).finish()
    }
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
