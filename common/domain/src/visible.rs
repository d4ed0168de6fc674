//! Pure. Whether a text is visible. A name of invisible characters looks empty.

/// Whether any character of a text is visible.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    text.chars().any(|letter| !letter.is_whitespace() && !letter.is_control() && !is_ignorable(letter))
}

/// Unicode's `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt, 16.0), and the blank Braille pattern.
fn is_ignorable(letter: char) -> bool {
    matches!(letter,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R78: an invisible text counts as empty.
    #[test]
    fn what_nobody_sees_is_nothing() {
        for text in [
            "",
            " ",
            "\u{200b}",
            "\u{200b}\u{2060}\u{feff}",
            "\u{3164}",
            "\u{2800} \u{ad}",
            "\u{202e}\u{202c}",
            "\u{a0}\t",
        ] {
            assert!(!is_visible(text), "{text:?}");
        }
        for text in ["a", "\u{200b}a", "é", "\u{1f44b}", "\u{1f468}\u{200d}\u{1f469}", "٤", "."] {
            assert!(is_visible(text), "{text:?}");
        }
    }
}
