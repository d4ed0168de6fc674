//! `/docs`: the API for people. The page is Swagger UI, which this binary holds whole; a key that is typed in stays in the page.

use std::sync::{Arc, LazyLock};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use utoipa_swagger_ui::{Config, serve};

use crate::extract::Path;
use crate::problem::{Problem, Result};

/// The page may run its own scripts and ask this API, and nothing else. Swagger UI sets inline styles, and shows an answer that is
/// a picture, such as a QR code, from a `blob:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Routes that the document does not hold, since it describes what programs call: its own, and those of the page.
pub const UNDOCUMENTED: [&str; 4] = ["/openapi.json", "/docs", "/docs/", "/docs/{file}"];

/// No picture from elsewhere says whether the document is valid. The page stands one step below the document.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["../openapi.json"]).use_base_layout().validator_url("none");
    let config = config.doc_expansion("list").filter(true).default_models_expand_depth(0);
    Arc::new(config.try_it_out_enabled(true).display_request_duration(true))
});

/// `/docs`: what the page loads lies below it.
pub async fn moved() -> (StatusCode, [(HeaderName, &'static str); 1]) {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "docs/")])
}

/// `/docs/`.
pub async fn index() -> Result<Response> {
    answer("index.html")
}

/// `/docs/{file}`.
pub async fn file(Path(file): Path<String>) -> Result<Response> {
    answer(&file)
}

fn answer(name: &str) -> Result<Response> {
    let file = serve(name, CONFIG.clone()).map_err(|error| Problem::internal(&error))?.ok_or(Problem::NotFound)?;
    let content_type = HeaderValue::from_str(&file.content_type).map_err(|error| Problem::internal(&error))?;
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    Ok((headers, file.bytes).into_response())
}
