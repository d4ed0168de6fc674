//! The QR code of a pairing: as an image, as text, drawn for a terminal, or as JSON with its number and expiry.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use domain::account::{Method, Status, Step};
use domain::id::AccountId;
use qrcode::{Color, EcLevel, QrCode};
use serde::Deserialize;
use store::accounts::{self, Pairing};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::{Problem, Result};
use crate::wire::qr::Qr;

/// The side of a module in pixels.
const SCALE: usize = 8;
/// The number of blank modules around the code, as the standard requires.
const QUIET: usize = 4;
/// The header with the code's number within its pairing.
static QR_NUMBER: HeaderName = HeaderName::from_static("qr-number");
/// The header with the time when the code expires.
static QR_EXPIRES_AT: HeaderName = HeaderName::from_static("qr-expires-at");

/// How the code is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// An image: `image/png`.
    Png,
    /// The content of the code: `text/plain`.
    Text,
    /// Drawn with half blocks, for a dark terminal: `text/plain`.
    Terminal,
    /// Text, number and expiry: `application/json`.
    Json,
}

/// How to show the code.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// Takes precedence over the `Accept` header. The default is `png`.
    #[param(inline)]
    format: Option<Format>,
}

/// Fetch the QR code
///
/// Returns the current code. A new one comes every 20 seconds (the first lasts 60 seconds), and an event reports each.
/// The answer is 404 if there is no code: before the first, after the scan, or when the pairing has ended. `QR-Number`
/// and `QR-Expires-At` are the number of the code and the time when it expires.
#[utoipa::path(get, path = "/v1/accounts/{account}/qr", operation_id = "get_qr",
    tag = "Pairing", params(("account" = AccountId, Path), Shown),
    responses((status = 200, content((Vec<u8> = "image/png"), (String = "text/plain"), (Qr = "application/json"))),
        (status = 404, description = "No such account; or no code: not yet, not any more, or because the pairing is by code (`no-qr-code`, the detail says which)"),
        (status = 406)))]
pub async fn get(
    caller: Caller,
    Path(account): Path<AccountId>,
    Query(shown): Query<Shown>,
    headers: HeaderMap,
) -> Result<Response> {
    let format = match shown.format {
        Some(format) => format,
        None => negotiate(&headers)?,
    };
    let pairing = accounts::pairing(caller.of(), account).await?;
    let code = (pairing.qr_text.clone(), pairing.qr_number, pairing.qr_expires_at);
    let (Some(text), Some(number), Some(expires_at)) = code else {
        return Err(Problem::NoCode(why_none(&pairing)));
    };
    let mut response = match format {
        Format::Png => ([(header::CONTENT_TYPE, "image/png")], png(&text)?).into_response(),
        Format::Text => text.into_response(),
        Format::Terminal => terminal(&text)?.into_response(),
        Format::Json => Json(Qr { text, number, expires_at }).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(QR_NUMBER.clone(), number.into());
    if let Ok(expires_at) = HeaderValue::from_str(&expires_at.to_rfc3339()) {
        headers.insert(QR_EXPIRES_AT.clone(), expires_at);
    }
    Ok(response)
}

/// Why an existing account has no code.
fn why_none(pairing: &Pairing) -> String {
    match (pairing.status, pairing.method, pairing.step) {
        (Status::Pending, Some(Method::Code), Some(Step::Code)) => {
            "This pairing is by code: the eight characters to type on the phone stand in `pairing`".to_owned()
        }
        (Status::Pending, _, Some(Step::Qr)) => {
            "No code yet: the first comes within a second or two, a new one every 20".to_owned()
        }
        (Status::Pending, _, Some(Step::Passkey)) => {
            "The code was scanned; WhatsApp asks for the account's passkey now: see `pairing`".to_owned()
        }
        (Status::Pending, ..) => "The code was scanned: the phone is being linked".to_owned(),
        (Status::Connected, ..) => "No pairing is under way: a phone is linked and connected".to_owned(),
        (status, ..) => {
            format!("No pairing is under way, or it is over (the account is `{}`): begin with `pair`", status.as_str())
        }
    }
}

/// The first accepted format that is available. Quality values are ignored, since clients list formats in order.
fn negotiate(headers: &HeaderMap) -> Result<Format> {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()) else {
        return Ok(Format::Png);
    };
    let form = accept.split(',').find_map(|range| match range.split(';').next().unwrap_or_default().trim() {
        "image/png" | "image/*" | "*/*" => Some(Format::Png),
        "text/plain" | "text/*" => Some(Format::Text),
        "application/json" | "application/*" => Some(Format::Json),
        _ => None,
    });
    form.ok_or(Problem::NotAcceptable("There are image/png, text/plain and application/json"))
}

/// The modules, with the blank ones around them. True means dark.
fn modules(text: &str) -> Result<Vec<Vec<bool>>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|error| Problem::internal(&error))?;
    let width = code.width();
    let side = width + 2 * QUIET;
    let mut rows = vec![vec![false; side]; side];
    for (place, color) in code.to_colors().into_iter().enumerate() {
        if let Some(module) = rows.get_mut(QUIET + place / width).and_then(|row| row.get_mut(QUIET + place % width)) {
            *module = color == Color::Dark;
        }
    }
    Ok(rows)
}

/// An image with one bit per pixel.
fn png(text: &str) -> Result<Vec<u8>> {
    let rows = modules(text)?;
    let side = rows.len() * SCALE;
    let mut pixels = Vec::with_capacity(side * side.div_ceil(8));
    for row in &rows {
        // a module is eight pixels wide: exactly one byte
        let line: Vec<u8> = row.iter().map(|dark| if *dark { 0x00 } else { 0xFF }).collect();
        for _ in 0..SCALE {
            pixels.extend_from_slice(&line);
        }
    }
    let side = u32::try_from(side).map_err(|error| Problem::internal(&error))?;
    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&pixels)?;
        writer.finish()
    });
    written.map_err(|error| Problem::internal(&error))?;
    Ok(image)
}

/// A drawing with two rows of modules per line. Light modules are drawn, so that the code looks right on a dark
/// terminal.
fn terminal(text: &str) -> Result<String> {
    let rows = modules(text)?;
    let blank = vec![false; rows.len()];
    let mut drawing = String::new();
    for pair in rows.chunks(2) {
        let (upper, lower) = match pair {
            [upper, lower] => (upper, lower),
            [upper] => (upper, &blank),
            _ => continue,
        };
        drawing.extend(upper.iter().zip(lower).map(|dark| match dark {
            (false, false) => '█',
            (false, true) => '▀',
            (true, false) => '▄',
            (true, true) => ' ',
        }));
        drawing.push('\n');
    }
    Ok(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_a_png_of_the_right_size() {
        let image = png("2@abc,def").unwrap_or_default();
        let decoder = png::Decoder::new(std::io::Cursor::new(image));
        let reader = decoder.read_info().unwrap_or_else(|_| unreachable!());
        let side = u32::try_from((21 + 2 * QUIET) * SCALE).unwrap_or_default();
        assert_eq!((reader.info().width, reader.info().height), (side, side));
    }

    #[test]
    fn a_terminal_shows_two_rows_per_line() {
        let drawing = terminal("2@abc,def").unwrap_or_default();
        assert_eq!(drawing.lines().count(), (21 + 2 * QUIET).div_ceil(2));
        assert!(drawing.lines().all(|line| line.chars().count() == 21 + 2 * QUIET));
    }

    #[test]
    fn the_accept_header_chooses() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap_or_else(|_| unreachable!()));
            negotiate(&headers)
        };
        assert_eq!(of("*/*"), Ok(Format::Png));
        assert_eq!(of("text/html, image/*;q=0.8"), Ok(Format::Png));
        assert_eq!(of("application/json"), Ok(Format::Json));
        assert_eq!(of("text/plain"), Ok(Format::Text));
        assert!(of("video/mp4").is_err());
        assert_eq!(negotiate(&HeaderMap::new()), Ok(Format::Png));
    }
}
