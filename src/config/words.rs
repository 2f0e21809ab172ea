//! Single values of the file: what each word may be, and the mend where it is something else.

use super::{Complaint, MAX_NAME_BYTES};
use crate::feed::{FeedProtocol, Severity};
use std::net::IpAddr;
use toml::Spanned;

/// A name of a feed.
pub(super) fn feed_name(raw: &Spanned<String>) -> Result<String, Complaint> {
    let name = raw.get_ref();
    let plain = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(plain) {
        let what = format!("a feed's name is 1 to {MAX_NAME_BYTES} bytes of letters, digits and punctuation");
        return Err(Complaint::of(raw, what));
    }
    if matches!(name.as_str(), "." | "..") {
        return Err(Complaint::of(
            raw,
            format!("\"{name}\" cannot name a directory; give the feed another name"),
        ));
    }
    Ok(name.clone())
}

/// A name of a line.
pub(super) fn line_name(raw: &Spanned<String>) -> Result<String, Complaint> {
    short(raw, 16, "a line's name", "-_")
}

/// DBN's dataset code.
pub(super) fn dataset(raw: &Spanned<String>) -> Result<String, Complaint> {
    // The field in DBN's metadata is 16 bytes (dbn crate, DATASET_CSTR_LEN).
    short(raw, 16, "a dataset code", "-_.")
}

fn short(raw: &Spanned<String>, most_bytes: usize, what: &str, also: &str) -> Result<String, Complaint> {
    let name = raw.get_ref();
    let plain = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    if name.is_empty() || name.len() > most_bytes || !name.chars().all(plain) {
        let what =
            format!("{what} is 1 to {most_bytes} letters, digits or any of \"{also}\", not \"{name}\"");
        return Err(Complaint::of(raw, what));
    }
    Ok(name.clone())
}

/// A symbol, as DBN's fields can hold it.
pub(super) fn symbol(raw: &Spanned<String>) -> Result<String, Complaint> {
    let symbol = raw.get_ref();
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    if symbol.trim() != symbol || symbol.is_empty() || symbol.len() > 70 || !symbol.chars().all(plain) {
        let what = format!("\"{symbol}\" is no symbol: 1 to 70 ASCII characters, no space at the ends");
        return Err(Complaint::of(raw, what));
    }
    Ok(symbol.clone())
}

/// A protocol's name.
pub(super) fn protocol(raw: &Spanned<String>) -> Result<FeedProtocol, Complaint> {
    let found = FeedProtocol::ALL.into_iter().find(|(name, _)| name == raw.get_ref());
    found.map(|(_, protocol)| protocol).ok_or_else(|| {
        let known: Vec<String> = FeedProtocol::ALL.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        Complaint::of(raw, format!("unknown protocol \"{}\"; known: {}", raw.get_ref(), known.join(", ")))
    })
}

/// A severity.
pub(super) fn severity(raw: &Spanned<String>) -> Result<Severity, Complaint> {
    let all = [Severity::Off, Severity::Info, Severity::Warning, Severity::Error];
    let found = all.into_iter().find(|severity| severity.name() == raw.get_ref());
    found.ok_or_else(|| {
        let known = all.map(|severity| format!("\"{}\"", severity.name())).join(", ");
        Complaint::of(raw, format!("unknown severity \"{}\"; known: {known}", raw.get_ref()))
    })
}

/// Where datagrams go.
pub(super) fn group(raw: &Spanned<String>) -> Result<IpAddr, Complaint> {
    let group = address(raw, "group")?;
    if group.is_unspecified() || is_broadcast(group) {
        let what = format!("group {group} is nobody's address; name a multicast group or a host's address");
        return Err(Complaint::of(raw, what));
    }
    Ok(group)
}

/// Where datagrams to `group` come from.
pub(super) fn source(raw: &Spanned<String>, group: IpAddr) -> Result<IpAddr, Complaint> {
    let source = address(raw, "source")?;
    if source.is_multicast() || source.is_unspecified() || is_broadcast(source) {
        return Err(Complaint::of(
            raw,
            format!("source {source} is no sender's address; name the host that sends"),
        ));
    }
    if source.is_ipv4() != group.is_ipv4() {
        let what =
            format!("source {source} and group {group} are of different IP versions; nothing can match both");
        return Err(Complaint::of(raw, what));
    }
    Ok(source)
}

fn address(raw: &Spanned<String>, what: &str) -> Result<IpAddr, Complaint> {
    raw.get_ref().parse().map_err(|_| {
        let text = raw.get_ref();
        let what =
            format!("{what} \"{text}\" is no IP address; write it like \"233.54.12.111\" or \"ff3e::1\"");
        Complaint::of(raw, what)
    })
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

/// An interface's name.
pub(super) fn interface(raw: &Spanned<String>) -> Result<String, Complaint> {
    let name = raw.get_ref();
    let plain = |c: char| c.is_ascii_graphic() && c != '/';
    // The kernel's IFNAMSIZ is 16 with the terminating zero.
    if name.is_empty() || name.len() > 15 || !name.chars().all(plain) {
        let what =
            format!("\"{name}\" cannot be an interface's name (1 to 15 characters, no space or slash)");
        return Err(Complaint::of(raw, what));
    }
    Ok(name.clone())
}

/// A whole number between two others.
pub(super) fn number<T: TryFrom<i64>>(
    raw: &Spanned<i64>,
    what: &str,
    least: i64,
    most: i64,
) -> Result<T, Complaint> {
    let number = *raw.get_ref();
    let fits = (least..=most).contains(&number).then(|| T::try_from(number).ok()).flatten();
    fits.ok_or_else(|| Complaint::of(raw, format!("{what} {number} is not between {least} and {most}")))
}
