//! Bytes as the tests write them down.

/// The bytes of a text such as `"70 83 'lists' 00"`: hex numbers, and texts between quotes.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            bytes.extend(part.bytes());
            continue;
        }
        let digits: String = part.split_whitespace().collect();
        for pair in digits.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).expect("hex numbers are ASCII");
            bytes.push(u8::from_str_radix(pair, 16).expect("outside of quotes there is hex alone"));
        }
    }
    bytes
}
