//! What stands around a token: how it is read depends on it.

/// The sentence before and after a token.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub before: &'a str,
    pub after: &'a str,
}

impl<'a> Context<'a> {
    /// The character directly before the token.
    pub fn previous_char(self) -> Option<char> {
        self.before.chars().next_back()
    }

    /// The character directly after the token.
    pub fn next_char(self) -> Option<char> {
        self.after.chars().next()
    }

    /// The word before the token, without marks around it; empty at the beginning, and after a mark that ends a phrase.
    pub fn previous_word(self) -> &'a str {
        let before = self
            .before
            .trim_end_matches([' ', '\n', '"', '\'', '(', '-']);
        let word = before
            .rsplit(|character: char| {
                !character.is_ascii_alphanumeric() && !matches!(character, '\'' | '.')
            })
            .next();
        word.unwrap_or_default().trim_matches(['.', '\''])
    }

    /// The word after the token, if nothing but spaces, a hyphen or an opening mark stands between; else empty.
    pub fn next_word(self) -> &'a str {
        let after = self
            .after
            .trim_start_matches([' ', '\n', '"', '\'', '(', '-']);
        let end = after
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '\'')
            .unwrap_or(after.len());
        after[..end].trim_end_matches('\'')
    }

    /// Whether the previous word is one of these, in any case.
    pub fn follows(self, words: &[&str]) -> bool {
        let word = self.previous_word();
        words.iter().any(|known| known.eq_ignore_ascii_case(word))
    }

    /// Whether the next word is one of these, in any case.
    pub fn precedes(self, words: &[&str]) -> bool {
        let word = self.next_word();
        words.iter().any(|known| known.eq_ignore_ascii_case(word))
    }

    /// Whether the next word begins with a capital.
    pub fn before_capital(self) -> bool {
        starts_with_capital(self.next_word())
    }

    /// Whether the previous word begins with a capital.
    pub fn after_capital(self) -> bool {
        starts_with_capital(self.previous_word())
    }

    /// Whether a number follows.
    pub fn before_number(self) -> bool {
        self.next_word()
            .starts_with(|character: char| character.is_ascii_digit())
    }

    /// Whether the token begins where a word may begin: not glued to letters or digits.
    pub fn begins_free(self) -> bool {
        self.previous_char()
            .is_none_or(|character| !character.is_ascii_alphanumeric())
    }

    /// Whether the token ends where a word may end.
    pub fn ends_free(self) -> bool {
        self.next_char()
            .is_none_or(|character| !character.is_ascii_alphanumeric())
    }

    /// Nothing if the token is glued to letters or digits: it is a part of something else then.
    pub fn require_alone(self) -> Option<()> {
        (self.begins_free() && self.ends_free()).then_some(())
    }

    /// Whether the sentence is over after the token, closing marks aside.
    pub fn at_end(self) -> bool {
        self.after
            .trim_matches([' ', '\n', '.', '!', '?', '"', '\'', ')', ']'])
            .is_empty()
    }

    /// Whether the token stands before a noun as an adjective does: "a $5 bill", "the 100 m dash".
    pub fn is_attributive(self) -> bool {
        /// Words that are no nouns.
        const OTHERS: [&str; 40] = [
            "is", "was", "are", "were", "in", "for", "to", "and", "or", "of", "on", "at", "per",
            "more", "less", "than", "from", "with", "by", "as", "that", "which", "who", "it", "he",
            "she", "they", "we", "you", "i", "a", "an", "the", "each", "away", "long", "wide",
            "high", "tall", "later",
        ];
        let next = self.next_word();
        let is_noun = next.bytes().all(|byte| byte.is_ascii_lowercase())
            && !next.is_empty()
            && !OTHERS.contains(&next);
        is_noun
            && self.after.starts_with([' ', '-'])
            && self.follows(&[
                "a", "an", "the", "this", "that", "his", "her", "my", "our", "their",
            ])
    }

    /// Whether the sentence around the token is arithmetic.
    pub fn in_equation(self) -> bool {
        self.before.contains('=') || self.after.contains('=')
    }
}

fn starts_with_capital(word: &str) -> bool {
    word.starts_with(|character: char| character.is_ascii_uppercase())
}
