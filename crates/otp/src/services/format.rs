//! `io_lib:format/2`, as far as logs need it.

use enmesh_term::Term;

/// The longest text, in bytes; what is beyond is cut off.
pub(super) const MAX_TEXT: usize = 8 << 10;

/// The widest field of a directive, in characters.
const MAX_WIDTH: usize = 512;

/// The longest layout, in bytes.
const MAX_LAYOUT: usize = 1 << 20;

/// A text that grows up to a limit.
#[derive(Clone, Debug)]
pub(super) struct Text {
    text: String,
    limit: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self::with_limit(MAX_TEXT)
    }
}

impl Text {
    fn with_limit(limit: usize) -> Self {
        let text = String::new();
        Self { text, limit }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn is_full(&self) -> bool {
        self.text.len() >= self.limit
    }

    pub(super) fn into_string(self) -> String {
        self.text
    }

    pub(super) fn push(&mut self, more: &str) {
        let left = self.limit - self.text.len();
        let end = (0..=left.min(more.len()))
            .rev()
            .find(|&at| more.is_char_boundary(at))
            .unwrap_or(0);
        self.text.push_str(&more[..end]);
    }

    /// Appends chardata: a binary, or a list of code points, binaries and lists; `None` if it is
    /// none.
    pub(super) fn push_chars(&mut self, chars: &Term, latin1: bool) -> Option<()> {
        match chars {
            Term::Int(_) => None,
            chars => self.push_part(chars, latin1),
        }
    }

    /// Recurses once a level of the term, which decoding has bounded.
    fn push_part(&mut self, part: &Term, latin1: bool) -> Option<()> {
        let (parts, tail) = match part {
            Term::Binary(bytes) if latin1 => {
                let bytes = &bytes[..bytes.len().min(self.limit)];
                self.push(&bytes.iter().copied().map(char::from).collect::<String>());
                return Some(());
            }
            Term::Binary(bytes) => {
                self.push(std::str::from_utf8(bytes).ok()?);
                return Some(());
            }
            Term::Int(code) => {
                let code = char::from_u32(u32::try_from(*code).ok()?)?;
                self.push(code.encode_utf8(&mut [0; 4]));
                return Some(());
            }
            Term::List(parts) => (&parts[..], None),
            Term::ImproperList(parts, tail) => (&parts[..], Some(&**tail)),
            _ => return None,
        };
        for part in parts {
            self.push_part(part, latin1)?;
        }
        match tail {
            Some(tail @ Term::Binary(_)) => self.push_part(tail, latin1),
            Some(_) => None,
            None => Some(()),
        }
    }
}

/// The text of `layout` with `args` in it; `None` where a BEAM would fail with `badarg`. What
/// comes after the text is full is not looked at: a short layout can ask for very much.
pub(super) fn format(layout: &Term, args: &Term) -> Option<Text> {
    let layout = match layout {
        Term::Atom(name) => name.as_str().to_owned(),
        chars => {
            let mut text = Text::with_limit(MAX_LAYOUT);
            text.push_chars(chars, false)?;
            text.into_string()
        }
    };
    let mut args = args.as_list()?.iter();
    let mut text = Text::default();
    let mut rest = layout.chars();
    while let Some(c) = rest.next() {
        if text.is_full() {
            return Some(text);
        }
        if c == '~' {
            let directive = Directive::parse(&mut rest, &mut args)?;
            directive.write(&mut args, &mut text)?;
        } else {
            text.push(c.encode_utf8(&mut [0; 4]));
        }
    }
    args.next().is_none().then_some(text)
}

/// `~Width.Precision.PadModsControl`.
#[derive(Debug)]
struct Directive {
    /// Negative for what stands at the left of its field.
    width: Option<i64>,
    precision: Option<usize>,
    pad: char,
    /// Whether binaries are UTF-8 (`~ts`) and not latin1.
    is_unicode: bool,
    control: char,
}

impl Directive {
    fn parse<'a>(
        rest: &mut std::str::Chars<'_>,
        args: &mut impl Iterator<Item = &'a Term>,
    ) -> Option<Self> {
        let width = number(rest, args)?;
        let (mut precision, mut pad) = (None, ' ');
        if skip(rest, '.') {
            precision = number(rest, args)?.and_then(|p| usize::try_from(p).ok());
            if skip(rest, '.') {
                pad = match rest.next()? {
                    '*' => char::from_u32(u32::try_from(args.next()?.as_int()?).ok()?)?,
                    pad => pad,
                };
            }
        }
        let mut is_unicode = false;
        let control = rest.find(|&c| {
            is_unicode |= c == 't';
            !matches!(c, 't' | 'l' | 'k' | 'K')
        })?;
        Some(Self {
            width,
            precision,
            pad,
            is_unicode,
            control,
        })
    }

    fn write<'a>(&self, args: &mut impl Iterator<Item = &'a Term>, text: &mut Text) -> Option<()> {
        let mut out = Text::default();
        match self.control {
            '~' => out.push("~"),
            'n' => (0..self.count()).for_each(|_| out.push("\n")),
            'i' => {
                args.next()?;
            }
            'c' => {
                let code = char::from_u32(u32::try_from(args.next()?.as_int()?).ok()?)?;
                (0..self.count()).for_each(|_| out.push(code.encode_utf8(&mut [0; 4])));
            }
            's' => out = self.string(args.next()?)?,
            'w' | 'p' => out.push(&args.next()?.to_string()),
            'W' | 'P' => {
                out.push(&args.next()?.to_string());
                args.next()?.as_int()?;
            }
            'b' | 'B' => out.push(&self.integer(args.next()?, "")?),
            'x' | 'X' => {
                let integer = args.next()?;
                let prefix = args.next()?.to_charlist_text()?;
                out.push(&self.integer(integer, &prefix)?);
            }
            '#' | '+' => {
                let base = format!("{}#", self.precision.unwrap_or(10));
                out.push(&self.integer(args.next()?, &base)?);
            }
            'e' | 'f' | 'g' => out.push(&self.float(args.next()?)?),
            _ => return None,
        }
        self.place(&out.into_string(), text);
        Some(())
    }

    /// How often `~n` and `~c` repeat.
    fn count(&self) -> usize {
        let times = self.width.unwrap_or(1).unsigned_abs();
        usize::try_from(times).unwrap_or(MAX_WIDTH).min(MAX_WIDTH)
    }

    fn string(&self, term: &Term) -> Option<Text> {
        let mut whole = Text::default();
        match term {
            Term::Atom(name) => whole.push(name.as_str()),
            chars => whole.push_chars(chars, !self.is_unicode)?,
        }
        let Some(precision) = self.precision else {
            return Some(whole);
        };
        let mut cut = Text::default();
        let head: String = whole.into_string().chars().take(precision).collect();
        cut.push(&head);
        Some(cut)
    }

    fn integer(&self, term: &Term, prefix: &str) -> Option<String> {
        let base = self.precision.unwrap_or(10);
        let base = u32::try_from(base).ok().filter(|b| (2..=36).contains(b))?;
        if matches!(term, Term::BigInt(_)) {
            // A bignum of another base is shown in the base of every log.
            return Some(format!("{prefix}{term}"));
        }
        let number = term.as_int()?;
        let mut digits = Vec::new();
        let mut left = number.unsigned_abs();
        while left > 0 || digits.is_empty() {
            let digit = u32::try_from(left % u64::from(base)).ok()?;
            digits.push(char::from_digit(digit, base)?);
            left /= u64::from(base);
        }
        let digits: String = digits.into_iter().rev().collect();
        let digits = match self.control {
            'B' | 'X' | '#' => digits.to_uppercase(),
            _ => digits,
        };
        let sign = if number < 0 { "-" } else { "" };
        Some(format!("{sign}{prefix}{digits}"))
    }

    fn float(&self, term: &Term) -> Option<String> {
        let float = match term {
            Term::Int(int) => *int as f64,
            term => term.as_float()?,
        };
        let digits = self.precision.unwrap_or(6).min(MAX_WIDTH);
        Some(match self.control {
            'f' => format!("{float:.digits$}"),
            'e' => {
                let text = format!("{float:.*e}", digits.saturating_sub(1));
                // Erlang writes the sign of every exponent.
                match text.split_once('e') {
                    Some((digits, power)) if !power.starts_with('-') => {
                        format!("{digits}e+{power}")
                    }
                    _ => text,
                }
            }
            _ => format!("{float}"),
        })
    }

    /// Puts `word` into its field.
    fn place(&self, word: &str, text: &mut Text) {
        let width = match self.control {
            'n' | 'c' | '~' | 'i' => 0,
            _ => self.width.map_or(0, |_| self.count()),
        };
        let missing = width.saturating_sub(word.chars().count());
        let padding: String = std::iter::repeat_n(self.pad, missing).collect();
        if self.width.is_some_and(|width| width < 0) {
            text.push(word);
            text.push(&padding);
        } else {
            text.push(&padding);
            text.push(word);
        }
    }
}

/// A number in the layout, or from the arguments for `*`; `None` inside if there is none.
fn number<'a>(
    rest: &mut std::str::Chars<'_>,
    args: &mut impl Iterator<Item = &'a Term>,
) -> Option<Option<i64>> {
    if skip(rest, '*') {
        return Some(Some(args.next()?.as_int()?));
    }
    let text = rest.as_str();
    let end = text
        .char_indices()
        .find(|&(at, c)| !(c.is_ascii_digit() || at == 0 && c == '-'))
        .map_or(text.len(), |(at, _)| at);
    if end == 0 {
        return Some(None);
    }
    let number = text[..end].parse().ok()?;
    *rest = text[end..].chars();
    Some(Some(number))
}

fn skip(rest: &mut std::str::Chars<'_>, wanted: char) -> bool {
    match rest.as_str().strip_prefix(wanted) {
        Some(after) => {
            *rest = after.chars();
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(layout: &str, args: &[Term], expected: Option<&str>) {
        let text = format(&Term::charlist(layout), &Term::List(args.to_vec()));
        assert_eq!(text.map(Text::into_string).as_deref(), expected, "{layout}");
    }

    /// The expected texts are those of `io_lib:format/2`.
    #[test]
    fn layouts_are_filled_as_io_lib_fills_them() {
        let word = Term::atom("a b");
        check(
            "~p and ~w~n",
            &[word.clone(), Term::Int(7)],
            Some("'a b' and 7\n"),
        );
        check("~s|~ts", &[word, Term::binary("äö")], Some("a b|äö"));
        check("~s", &[Term::binary([0xe4])], Some("ä"));
        check("~ts", &[Term::binary([0xe4])], None);
        check(
            "[~5s] [~-5s] [~.2s]",
            &vec![Term::charlist("abc"); 3],
            Some("[  abc] [abc  ] [ab]"),
        );
        check("~*s", &[Term::Int(4), Term::charlist("x")], Some("   x"));
        check(
            "~5..0b ~.16b ~.16B ~.16#",
            &vec![Term::Int(255); 4],
            Some("00255 ff FF 16#FF"),
        );
        check(
            "~.2f ~.3e",
            &[Term::Float(1.005), Term::Int(1000)],
            Some("1.00 1.00e+3"),
        );
        check(
            "~c~3c~~~i",
            &[Term::Int(65), Term::Int(66), Term::Int(1)],
            Some("ABBB~"),
        );
    }

    #[test]
    fn layouts_that_do_not_fit_their_arguments_are_refused() {
        check("~p", &[], None);
        check("hello", &[Term::Int(1)], None);
        check("~", &[], None);
        check("~y", &[Term::Int(1)], None);
        check("~s", &[Term::Int(1)], None);
        check("~b", &[Term::atom("a")], None);
        check("~.1b", &[Term::Int(1)], None);
    }

    #[test]
    fn a_text_is_cut_at_its_limit_between_characters() {
        let long = Term::binary("ä".repeat(MAX_TEXT));
        let mut text = Text::default();
        text.push("x");
        text.push_chars(&long, false).unwrap();
        assert_eq!(text.into_string().len(), MAX_TEXT - 1);
        check(
            "~999999999999s",
            &[Term::charlist("")],
            Some(&" ".repeat(MAX_WIDTH)),
        );
        check("~999999999999999999999s", &[Term::charlist("")], None);
        let many = format!("{}~y", "~512c".repeat(MAX_TEXT / MAX_WIDTH));
        let spaces = vec![Term::Int(32); MAX_TEXT / MAX_WIDTH];
        check(&many, &spaces, Some(&" ".repeat(MAX_TEXT)));
    }
}
