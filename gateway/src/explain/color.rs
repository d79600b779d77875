//! Colors for the differing characters of two texts.

/// Colors of a terminal, or none.
#[derive(Clone, Copy)]
pub(super) enum Palette {
    Plain,
    Colored,
}

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

impl Palette {
    /// Colors the characters between the common start and the common end of two texts.
    pub(super) fn pair(self, signed: &str, derived: &str) -> [String; 2] {
        match self {
            Self::Plain => [signed, derived].map(str::to_owned),
            Self::Colored => {
                let start = common_len(signed.chars(), derived.chars());
                let (signed_rest, derived_rest) = (&signed[start..], &derived[start..]);
                let end = common_len(signed_rest.chars().rev(), derived_rest.chars().rev());
                let paint = |text: &str, color: &str| {
                    let until = text.len() - end;
                    let (before, middle, after) =
                        (&text[..start], &text[start..until], &text[until..]);
                    if middle.is_empty() {
                        text.to_owned()
                    } else {
                        format!("{before}{color}{middle}{RESET}{after}")
                    }
                };
                [paint(signed, RED), paint(derived, GREEN)]
            }
        }
    }
}

/// Returns the length in bytes of the characters at the start of both.
fn common_len(ours: impl Iterator<Item = char>, theirs: impl Iterator<Item = char>) -> usize {
    let same = ours.zip(theirs).take_while(|(own, their)| own == their);
    same.map(|(letter, _)| letter.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_characters_are_colored() {
        for (signed, derived, colored) in [
            (
                "a:b",
                "a%3Ab",
                ["a\x1b[31m:\x1b[0mb", "a\x1b[32m%3A\x1b[0mb"],
            ),
            ("v", "v=", ["v", "v\x1b[32m=\x1b[0m"]),
            ("aa", "a", ["a\x1b[31ma\x1b[0m", "a"]),
            ("é", "è", ["\x1b[31mé\x1b[0m", "\x1b[32mè\x1b[0m"]),
            ("same", "same", ["same", "same"]),
        ] {
            assert_eq!(Palette::Colored.pair(signed, derived), colored);
            assert_eq!(Palette::Plain.pair(signed, derived), [signed, derived]);
        }
    }
}
