//! Pages of lists with texts. A page ends early if its texts are long, so that the size of answers is limited.

/// The size of texts in bytes after which a page ends, even if more items were requested. A page has at least one item.
const TEXTS: i64 = 4 * 1024 * 1024;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T, C> {
    /// The items, in order.
    pub rows: Vec<T>,
    /// The position of the last item, if more items follow.
    pub next: Option<C>,
}

/// Pure. How many of these items fit on a page of at most `limit`, by the sizes of their texts in bytes.
pub(super) fn fit(texts: impl IntoIterator<Item = i64>, limit: i64) -> usize {
    let limit = usize::try_from(limit).unwrap_or_default();
    let mut before = 0;
    let room = texts.into_iter().take(limit).take_while(|bytes| {
        let fits = before == 0 || before + bytes <= TEXTS;
        before += bytes;
        fits
    });
    room.count()
}

/// The last item that fits, if more items follow.
pub(super) fn next<R>(found: &[R], fits: usize) -> Option<&R> {
    found.get(fits.checked_sub(1)?).filter(|_| found.len() > fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_texts_are_long() {
        let cases: [(&[i64], i64, usize); 7] = [
            (&[], 3, 0),
            (&[1, 1, 1, 1], 3, 3),
            (&[1, 1], 3, 2),
            (&[TEXTS, 1], 3, 1),
            (&[TEXTS * 9], 3, 1),
            (&[TEXTS / 2, TEXTS / 2, 1], 3, 2),
            (&[1, TEXTS], 3, 1),
        ];
        for (texts, limit, expected) in cases {
            assert_eq!(fit(texts.iter().copied(), limit), expected, "{texts:?}");
        }
    }
}
