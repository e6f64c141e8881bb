//! Terms in Erlang's syntax, for logs.

use std::fmt::{self, Write};

use crate::Term;

/// How many bytes [`Term`]'s `Display` writes at most, before it ends in `...`.
pub const MAX_DISPLAY_BYTES: usize = 1024;

/// The same for `Debug`, which tests print.
const MAX_DEBUG_BYTES: usize = 64 << 10;

/// Integers with more bits than this are told by their size: decimal takes quadratic time.
const MAX_DECIMAL_BITS: u64 = 4096;

impl fmt::Display for Term {
    /// Bounded by [`MAX_DISPLAY_BYTES`], because terms come from peers and go to logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_bounded(self, f, MAX_DISPLAY_BYTES)
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_bounded(self, f, MAX_DEBUG_BYTES)
    }
}

fn print_bounded(term: &Term, f: &mut fmt::Formatter<'_>, left: usize) -> fmt::Result {
    let mut out = Bounded {
        out: f,
        left,
        is_full: false,
    };
    match print(term, &mut out) {
        Err(fmt::Error) if out.is_full => f.write_str("..."),
        done => done,
    }
}

/// Passes on so many bytes and then fails, which ends the printing at once.
struct Bounded<'f, 'b> {
    out: &'f mut fmt::Formatter<'b>,
    left: usize,
    is_full: bool,
}

impl Write for Bounded<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(left) = self.left.checked_sub(text.len()) {
            self.left = left;
            return self.out.write_str(text);
        }
        let end = (0..=self.left)
            .rev()
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or(0);
        self.out.write_str(&text[..end])?;
        self.is_full = true;
        Err(fmt::Error)
    }
}

fn print(term: &Term, out: &mut Bounded<'_, '_>) -> fmt::Result {
    match term {
        Term::Atom(atom) => write!(out, "{atom}"),
        Term::Int(int) => write!(out, "{int}"),
        Term::BigInt(big) if big.bits() > MAX_DECIMAL_BITS => {
            write!(out, "#Integer<{} bits>", big.bits())
        }
        Term::BigInt(big) => write!(out, "{big}"),
        Term::Float(float) => print_float(*float, out),
        Term::Binary(bytes) => print_binary(bytes, out),
        Term::BitString { bytes, bits } => print_bit_string(bytes, *bits, out),
        Term::List(elements) => print_list(elements, out),
        Term::ImproperList(elements, tail) => {
            out.write_str("[")?;
            print_all(elements, out)?;
            out.write_str("|")?;
            print(tail, out)?;
            out.write_str("]")
        }
        Term::Tuple(elements) => {
            out.write_str("{")?;
            print_all(elements, out)?;
            out.write_str("}")
        }
        Term::Map(pairs) => {
            out.write_str("#{")?;
            print_pairs(pairs, " => ", out)?;
            out.write_str("}")
        }
        Term::Pid(pid) => write!(out, "{pid}"),
        Term::Port(port) => write!(out, "{port}"),
        Term::Reference(reference) => write!(out, "{reference}"),
        Term::Fun(fun) => write!(out, "{fun}"),
        Term::Export(export) => write!(out, "{export}"),
        Term::Record(record) => {
            write!(out, "#{}:{}{{", record.module(), record.name())?;
            for (at, (name, value)) in record.fields().iter().enumerate() {
                write!(out, "{}{name} = ", if at == 0 { "" } else { "," })?;
                print(value, out)?;
            }
            out.write_str("}")
        }
    }
}

fn print_all(elements: &[Term], out: &mut Bounded<'_, '_>) -> fmt::Result {
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.write_str(",")?;
        }
        print(element, out)?;
    }
    Ok(())
}

fn print_pairs(pairs: &[(Term, Term)], arrow: &str, out: &mut Bounded<'_, '_>) -> fmt::Result {
    for (at, (key, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.write_str(",")?;
        }
        print(key, out)?;
        out.write_str(arrow)?;
        print(value, out)?;
    }
    Ok(())
}

/// A list of printable ASCII is a string.
fn print_list(elements: &[Term], out: &mut Bounded<'_, '_>) -> fmt::Result {
    let printable = |term: &Term| match term {
        Term::Int(int) => u8::try_from(*int).ok().filter(|&byte| is_printable(byte)),
        _ => None,
    };
    if !elements.is_empty() && elements.iter().all(|term| printable(term).is_some()) {
        return print_quoted(elements.iter().filter_map(printable).map(char::from), out);
    }
    out.write_str("[")?;
    print_all(elements, out)?;
    out.write_str("]")
}

fn is_printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) || matches!(byte, b'\n' | b'\r' | b'\t')
}

fn print_quoted(text: impl Iterator<Item = char>, out: &mut Bounded<'_, '_>) -> fmt::Result {
    out.write_str("\"")?;
    for c in text {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c => out.write_char(c)?,
        }
    }
    out.write_str("\"")
}

fn print_float(float: f64, out: &mut Bounded<'_, '_>) -> fmt::Result {
    let text = format!("{float:?}");
    match text.split_once('e') {
        // Erlang wants a point: 1.0e300, not 1e300.
        Some((mantissa, exponent)) if !mantissa.contains('.') => {
            write!(out, "{mantissa}.0e{exponent}")
        }
        _ => out.write_str(&text),
    }
}

fn print_binary(bytes: &[u8], out: &mut Bounded<'_, '_>) -> fmt::Result {
    if !bytes.is_empty() && bytes.iter().all(|&byte| is_printable(byte)) {
        out.write_str("<<")?;
        print_quoted(bytes.iter().map(|&byte| char::from(byte)), out)?;
        return out.write_str(">>");
    }
    out.write_str("<<")?;
    print_bytes(bytes, out)?;
    out.write_str(">>")
}

fn print_bytes(bytes: &[u8], out: &mut Bounded<'_, '_>) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        write!(out, "{}{byte}", if at == 0 { "" } else { "," })?;
    }
    Ok(())
}

fn print_bit_string(bytes: &[u8], bits: u8, out: &mut Bounded<'_, '_>) -> fmt::Result {
    let (last, whole) = bytes
        .split_last()
        .map_or((0, bytes), |(last, whole)| (*last, whole));
    out.write_str("<<")?;
    print_bytes(whole, out)?;
    let last = last
        .checked_shr(8_u32.saturating_sub(u32::from(bits)))
        .unwrap_or(0);
    write!(
        out,
        "{}{last}:{bits}>>",
        if whole.is_empty() { "" } else { "," }
    )
}
